"""Tenants in the admin."""

import pytest

from tenants.models import Tenant
from tests import factories
from tests.admin.conftest import fields, queries, text, url


def change(tenant) -> str:
    return url("tenants_tenant_change", tenant.pk)


def test_hosts_are_typed_one_a_line_and_stored_as_they_are_compared(operator):
    slug = factories.unique("tenant")
    data = {
        "name": "Acme",
        "slug": slug,
        "active": "on",
        "hosts": "AI.Example.com:8443\nb.example.com, ai.example.com",
    }
    assert operator.post(url("tenants_tenant_add"), data).status_code == 302
    assert Tenant.objects.get(slug=slug).hosts == ["ai.example.com", "b.example.com"]


def test_a_host_that_is_none_is_refused_in_words(operator, world):
    data = {**fields(operator.get(change(world.tenant))), "hosts": "https://ai.example.com/"}
    assert "Enter a host name in lower case" in text(operator.post(change(world.tenant), data))


def test_saving_it_unchanged_changes_nothing(operator, world):
    world.tenant.hosts = ["a.example.com", "b.example.com"]
    world.tenant.save()
    page = operator.get(change(world.tenant))
    data = {**fields(page), "hosts": "a.example.com\r\nb.example.com"}
    operator.post(change(world.tenant), data)
    after = Tenant.objects.get(pk=world.tenant.pk)
    assert (after.name, after.hosts, after.active) == (world.tenant.name, world.tenant.hosts, True)


def test_it_is_turned_off_with_a_word_on_what_that_does(operator, world):
    page = operator.get(change(world.tenant))
    assert "every request with one of this tenant's keys is refused (1 live)" in text(page)
    data = fields(page)
    del data["active"]
    operator.post(change(world.tenant), data)
    assert not Tenant.objects.get(pk=world.tenant.pk).active


def test_its_slug_stays(operator, world):
    data = {**fields(operator.get(change(world.tenant))), "slug": "another"}
    operator.post(change(world.tenant), data)
    assert Tenant.objects.get(pk=world.tenant.pk).slug == world.tenant.slug


def test_its_base_urls_are_there_to_copy(operator, world):
    assert 'data-copy="http://testserver/api/tenant"' in operator.get(change(world.tenant)).content.decode()
    world.tenant.hosts = ["a.example.com", "b.example.com"]
    world.tenant.save()
    html = operator.get(change(world.tenant), secure=True).content.decode()
    assert 'data-copy="https://a.example.com/api/tenant"' in html
    assert 'data-copy="https://b.example.com/api/tenant"' in html


def test_the_list_counts_what_it_has(operator, world):
    factories.key(world.tenant).row.revoke()
    factories.agent(world.fast, "another")
    factories.catalog(world.provider, "second")
    factories.catalog(world.provider, "third")
    response = operator.get(url("tenants_tenant_changelist"), {"q": world.tenant.slug})
    (row,) = response.context["cl"].result_list
    assert (row.key_count, row.agent_count, row.entry_count) == (1, 2, 3)


def test_a_host_finds_its_tenant(operator, world):
    host = f"{factories.unique('host')}.example.com"
    world.tenant.hosts = [host]
    world.tenant.save()
    response = operator.get(url("tenants_tenant_changelist"), {"q": host})
    assert list(response.context["cl"].result_list) == [world.tenant]


def test_twenty_rows_cost_as_many_queries_as_one(operator):
    name = factories.unique("crowd")
    factories.tenant(name=name)
    address = url("tenants_tenant_changelist", q=name)
    operator.get(address)
    with queries() as one:
        operator.get(address)
    for _ in range(19):
        factories.key(factories.tenant(name=name))
    with queries() as twenty:
        response = operator.get(address)
    assert len(response.context["cl"].result_list) == 20
    assert len(twenty) == len(one)


def test_deleting_it_says_what_goes_with_it_and_takes_all_of_it(operator, world):
    address = url("tenants_tenant_delete", world.tenant.pk)
    page = text(operator.get(address))
    assert world.key.row.name in page
    assert "Agent: support" in page
    assert "Grant" not in page
    assert "Inference target" not in page
    assert operator.post(address, {"post": "yes"}).status_code == 302
    assert not Tenant.objects.filter(pk=world.tenant.pk).exists()


class TestFilesAndAnswers:
    def save(self, client, tenant, **values):
        """The tenant after its form was saved with these values, and the answer."""
        answer = client.post(change(tenant), {**fields(client.get(change(tenant))), **values})
        return Tenant.objects.get(pk=tenant.pk), answer

    def test_entries_that_can_embed_and_transcribe_are_offered(self, operator, world):
        factories.catalog(world.provider, "embedder", capabilities=["embed"])
        factories.catalog(world.provider, "hearer", capabilities=["transcribe"])
        form = operator.get(change(world.tenant)).context["adminform"].form
        assert [name for name, _ in form.fields["embedding"].choices] == ["", "embedder"]
        assert [name for name, _ in form.fields["transcription"].choices] == ["", "hearer"]
        after, _ = self.save(operator, world.tenant, embedding="embedder", transcription="hearer")
        assert (after.embedding, after.transcription) == ("embedder", "hearer")

    def test_one_that_is_gone_is_not_lost_by_saving(self, operator, world):
        world.tenant.embedding = "gone"
        world.tenant.save()
        after, _ = self.save(operator, world.tenant)
        assert after.embedding == "gone"

    @pytest.mark.parametrize(
        ("typed", "stored"),
        [
            ("25 MB", 25_000_000),
            ("1.5gb", 1_500_000_000),
            ("1,000", 1000),
            ("10 MiB", 10 * 2**20),
            ("", None),
            ("0", 0),
        ],
    )
    def test_sizes_are_typed_as_people_write_them(self, operator, world, typed, stored):
        after, _ = self.save(
            operator, world.tenant, max_file_bytes=typed, max_stored_bytes=typed, max_files="7",
            max_dataset_files="8", max_datasets="9",
        )  # fmt: skip
        assert (after.max_file_bytes, after.max_stored_bytes, after.max_files) == (stored, stored, 7)
        assert (after.max_dataset_files, after.max_datasets) == (8, 9)
        again, _ = self.save(operator, world.tenant)
        assert again.max_file_bytes == stored

    @pytest.mark.parametrize("typed", ["many", "-1", "1e9", "25 MX", "999999999 TB"])
    def test_what_is_no_size_is_refused_in_words(self, operator, world, typed):
        after, answer = self.save(operator, world.tenant, max_file_bytes=typed)
        assert after.max_file_bytes is None
        assert "Write a size such as 25 MB" in text(answer) or "more than can be stored" in text(answer)

    def test_recording_is_turned_on_and_off(self, operator, world):
        after, _ = self.save(operator, world.tenant, record_answers="on")
        assert after.record_answers
        data = fields(operator.get(change(world.tenant)))
        del data["record_answers"]
        operator.post(change(world.tenant), data)
        assert not Tenant.objects.get(pk=world.tenant.pk).record_answers

    def test_the_installations_limits_are_named(self, operator, world, settings):
        settings.FILES_MAX_COUNT = 4711
        assert "Empty: the installation's limit, 4,711." in text(operator.get(change(world.tenant)))
