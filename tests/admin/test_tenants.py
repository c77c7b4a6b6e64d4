"""The admin of tenants."""

import pytest

from tenants.models import Tenant
from tests import factories
from tests.admin.conftest import fields, queries, text, url


def change(tenant) -> str:
    return url("tenants_tenant_change", tenant.pk)


def test_hosts_are_normalized(operator):
    slug = factories.unique("tenant")
    data = {
        "name": "Acme",
        "slug": slug,
        "active": "on",
        "hosts": "AI.Example.com:8443\nb.example.com, ai.example.com",
    }
    assert operator.post(url("tenants_tenant_add"), data).status_code == 302
    assert Tenant.objects.get(slug=slug).hosts == ["ai.example.com", "b.example.com"]


def test_invalid_host_is_refused(operator, world):
    data = {**fields(operator.get(change(world.tenant))), "hosts": "https://ai.example.com/"}
    assert "Enter a host name in lower case" in text(operator.post(change(world.tenant), data))


def test_saving_an_unchanged_form_changes_nothing(operator, world):
    world.tenant.hosts = ["a.example.com", "b.example.com"]
    world.tenant.save()
    page = operator.get(change(world.tenant))
    data = {**fields(page), "hosts": "a.example.com\r\nb.example.com"}
    operator.post(change(world.tenant), data)
    after = Tenant.objects.get(pk=world.tenant.pk)
    assert (after.name, after.hosts, after.active) == (world.tenant.name, world.tenant.hosts, True)


def test_turning_a_tenant_off_explains_the_effect(operator, world):
    page = operator.get(change(world.tenant))
    assert "every request with the tenant's keys is refused (1 active key)" in text(page)
    data = fields(page)
    del data["active"]
    operator.post(change(world.tenant), data)
    assert not Tenant.objects.get(pk=world.tenant.pk).active


def test_slug_cannot_be_changed(operator, world):
    data = {**fields(operator.get(change(world.tenant))), "slug": "another"}
    operator.post(change(world.tenant), data)
    assert Tenant.objects.get(pk=world.tenant.pk).slug == world.tenant.slug


def test_base_urls_can_be_copied(operator, world):
    assert 'data-copy="http://testserver/api/tenant"' in operator.get(change(world.tenant)).content.decode()
    world.tenant.hosts = ["a.example.com", "b.example.com"]
    world.tenant.save()
    html = operator.get(change(world.tenant), secure=True).content.decode()
    assert 'data-copy="https://a.example.com/api/tenant"' in html
    assert 'data-copy="https://b.example.com/api/tenant"' in html


def test_list_counts_keys_agents_and_catalog_entries(operator, world):
    factories.key(world.tenant).row.revoke()
    factories.agent(world.fast, "another")
    factories.catalog(world.provider, "second")
    factories.catalog(world.provider, "third")
    response = operator.get(url("tenants_tenant_changelist"), {"q": world.tenant.slug})
    (row,) = response.context["cl"].result_list
    assert (row.key_count, row.agent_count, row.entry_count) == (1, 2, 3)


def test_search_by_host(operator, world):
    host = f"{factories.unique('host')}.example.com"
    world.tenant.hosts = [host]
    world.tenant.save()
    response = operator.get(url("tenants_tenant_changelist"), {"q": host})
    assert list(response.context["cl"].result_list) == [world.tenant]


def test_list_costs_the_same_queries_for_any_number_of_rows(operator):
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


def test_deletion_lists_and_deletes_all_that_belongs_to_the_tenant(operator, world):
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
        """The tenant after saving its form with these values, and the response."""
        response = client.post(change(tenant), {**fields(client.get(change(tenant))), **values})
        return Tenant.objects.get(pk=tenant.pk), response

    def test_entries_are_offered_by_capability(self, operator, world):
        factories.catalog(world.provider, "embedder", capabilities=["embed"])
        factories.catalog(world.provider, "transcriber", capabilities=["transcribe"])
        form = operator.get(change(world.tenant)).context["adminform"].form
        assert [name for name, _ in form.fields["embedding"].choices] == ["", "embedder"]
        assert [name for name, _ in form.fields["transcription"].choices] == ["", "transcriber"]
        after, _ = self.save(operator, world.tenant, embedding="embedder", transcription="transcriber")
        assert (after.embedding, after.transcription) == ("embedder", "transcriber")

    def test_deleted_entry_is_kept_when_saving(self, operator, world):
        world.tenant.embedding = "gone"
        world.tenant.save()
        after, _ = self.save(operator, world.tenant)
        assert after.embedding == "gone"

    @pytest.mark.parametrize(
        ("text", "size"),
        [
            ("25 MB", 25_000_000),
            ("1.5gb", 1_500_000_000),
            ("1,000", 1000),
            ("10 MiB", 10 * 2**20),
            ("", None),
            ("0", 0),
        ],
    )
    def test_sizes_accept_units(self, operator, world, text, size):
        after, _ = self.save(
            operator, world.tenant, max_file_bytes=text, max_stored_bytes=text, max_files="7",
            max_dataset_files="8", max_datasets="9",
        )  # fmt: skip
        assert (after.max_file_bytes, after.max_stored_bytes, after.max_files) == (size, size, 7)
        assert (after.max_dataset_files, after.max_datasets) == (8, 9)
        again, _ = self.save(operator, world.tenant)
        assert again.max_file_bytes == size

    @pytest.mark.parametrize("value", ["many", "-1", "1e9", "25 MX", "999999999 TB"])
    def test_invalid_size_is_refused(self, operator, world, value):
        after, response = self.save(operator, world.tenant, max_file_bytes=value)
        assert after.max_file_bytes is None
        assert "Enter a size such as 25 MB" in text(response) or "This size is too large" in text(response)

    def test_explanations_can_be_turned_on_and_off(self, operator, world):
        after, _ = self.save(operator, world.tenant, record_answers="on")
        assert after.record_answers
        data = fields(operator.get(change(world.tenant)))
        del data["record_answers"]
        operator.post(change(world.tenant), data)
        assert not Tenant.objects.get(pk=world.tenant.pk).record_answers

    def test_help_text_names_the_limit_of_the_installation(self, operator, world, settings):
        settings.FILES_MAX_COUNT = 4711
        assert "Empty: the installation's limit, 4,711." in text(operator.get(change(world.tenant)))
