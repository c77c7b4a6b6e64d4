"""Catalog entries and datasets in the admin."""

from files.models import Dataset
from inference.models import CatalogEntry
from inference.providers import ADAPTERS
from tests import factories
from tests.admin.conftest import fields, queries, text, url
from tests.providers.sample.tiny import Tiny


class TestCatalogEntry:
    def test_entry_is_created_with_its_capabilities(self, operator, world):
        address = url("inference_catalogentry_add", tenant=world.tenant.pk)
        data = {**fields(operator.get(address)), "name": "voice", "provider": world.provider.pk}
        data |= {"model": "raw-voice", "capabilities": ["speech", "transcribe"]}
        assert operator.post(address, data).status_code == 302
        row = CatalogEntry.objects.get(tenant=world.tenant, name="voice")
        assert (row.model, set(row.capabilities), row.published) == (
            "raw-voice",
            {"transcribe", "speech"},
            True,
        )

    def test_prefix_keeps_its_trailing_space(self, operator, world):
        address = url("inference_catalogentry_change", world.fast.pk)
        data = {**fields(operator.get(address)), "query_prefix": "query: ", "passage_input_type": "passage"}
        assert operator.post(address, data).status_code == 302
        world.fast.refresh_from_db()
        assert (world.fast.query_prefix, world.fast.passage_prefix) == ("query: ", "")
        assert (world.fast.query_input_type, world.fast.passage_input_type) == ("", "passage")

    def test_providers_of_another_tenant_are_neither_offered_nor_accepted(self, operator, world):
        other = factories.world("http://127.0.0.1:9/v1")
        address = url("inference_catalogentry_add", tenant=world.tenant.pk)
        page = operator.get(address)
        assert list(page.context["adminform"].form.fields["provider"].queryset) == [world.provider]
        data = {**fields(page), "name": "stolen", "provider": other.provider.pk, "model": "raw"}
        response = operator.post(address, data)
        assert "provider" in response.context["adminform"].form.errors
        assert not CatalogEntry.objects.filter(name="stolen").exists()

    def test_page_lists_what_uses_the_entry(self, operator, world):
        def used() -> str:
            page = text(operator.get(url("inference_catalogentry_change", embedder.pk)))
            return page.replace(" ,", ",")

        embedder = factories.catalog(world.provider, "embedder", capabilities=["embed"])
        assert "Used by nothing" in used()
        world.tenant.embedding = "embedder"
        world.tenant.save()
        for number in range(2):
            factories.dataset(world.tenant, f"notes-{number}", embedding="embedder")
        factories.dataset(world.tenant, hidden=True, embedding="embedder")
        other = factories.world("http://127.0.0.1:9/v1")
        factories.dataset(other.tenant, "theirs", embedding="embedder")
        named = f"{world.tenant.name} for its files, the dataset notes-0, the dataset notes-1 Model"
        assert f"Used by {named}" in used()
        for number in range(2, 20):
            factories.dataset(world.tenant, f"notes-{number}", embedding="embedder")
        assert used().count("the dataset") == 19
        assert " and more" in used()
        page = text(operator.get(url("inference_catalogentry_change", world.fast.pk)))
        assert "Used by support Model" in page

    def test_name_of_an_agent_is_refused(self, operator, world):
        address = url("inference_catalogentry_add", tenant=world.tenant.pk)
        data = {**fields(operator.get(address)), "name": "support", "provider": world.provider.pk}
        response = operator.post(address, {**data, "model": "raw"})
        assert "This tenant has an agent or a catalog entry of that name." in text(response)

    def test_entry_without_capabilities_is_refused(self, operator, world):
        address = url("inference_catalogentry_change", world.fast.pk)
        data = {**fields(operator.get(address)), "capabilities": []}
        assert "capabilities" in operator.post(address, data).context["adminform"].form.errors

    def test_capability_that_the_adapter_does_not_serve_is_refused(self, operator, world, monkeypatch):
        monkeypatch.setitem(ADAPTERS, "tiny", Tiny())
        world.provider.kind = "tiny"
        world.provider.save()
        address = url("inference_catalogentry_change", world.fast.pk)
        data = {**fields(operator.get(address)), "capabilities": ["chat", "embed"]}
        assert "Providers of the kind 'Tiny' do not support: embed." in text(operator.post(address, data))

    def test_page_links_to_agents_that_use_the_entry(self, operator, world):
        page = operator.get(url("inference_catalogentry_change", world.fast.pk))
        assert url("inference_agent_change", world.support.pk) in page.content.decode()

    def test_entry_that_an_agent_uses_cannot_be_deleted(self, operator, world):
        address = url("inference_catalogentry_delete", world.fast.pk)
        page = text(operator.get(address))
        assert "fast cannot be deleted while this is using it." in page
        assert "Agent: support" in page
        operator.post(address, {"post": "yes"})
        assert CatalogEntry.objects.filter(pk=world.fast.pk).exists()

    def test_entry_that_a_live_version_uses_cannot_be_deleted(self, operator, world):
        world.support.catalog = factories.catalog(world.provider, "other")
        world.support.save()
        address = url("inference_catalogentry_delete", world.fast.pk)
        assert "support (its live version 1)" in text(operator.get(address))
        operator.post(address, {"post": "yes"})
        assert CatalogEntry.objects.filter(pk=world.fast.pk).exists()

    def test_selection_with_an_entry_in_use_is_not_deleted(self, operator, world):
        free = factories.catalog(world.provider, "free")
        data = {"action": "delete_selected", "_selected_action": [world.fast.pk, free.pk], "post": "yes"}
        response = operator.post(url("inference_catalogentry_changelist"), data)
        assert "The selection cannot be deleted" in text(response)
        assert CatalogEntry.objects.filter(pk__in=[world.fast.pk, free.pk]).count() == 2

    def test_unused_entry_is_deleted(self, operator, world):
        free = factories.catalog(world.provider, "free")
        operator.post(url("inference_catalogentry_delete", free.pk), {"post": "yes"})
        assert not CatalogEntry.objects.filter(pk=free.pk).exists()

    def test_query_count_is_independent_of_rows(self, operator, world):
        address = url("inference_catalogentry_changelist", tenant__id__exact=world.tenant.pk)
        operator.get(address)
        with queries() as one:
            operator.get(address)
        for number in range(19):
            factories.catalog(world.provider, f"entry-{number}")
        with queries() as twenty:
            response = operator.get(address)
        assert len(response.context["cl"].result_list) == 20
        assert len(twenty) == len(one)


class TestDataset:
    def test_dataset_is_created_with_an_embedding_and_grants(self, operator, world):
        factories.catalog(world.provider, "embedder", capabilities=["embed"])
        address = url("files_dataset_add", tenant=world.tenant.pk)
        page = operator.get(address)
        assert [value for value, _ in page.context["adminform"].form.fields["embedding"].choices] == [
            "", "embedder",
        ]  # fmt: skip
        operator.post(address, {"name": "handbook", "embedding": "embedder", "keys": [world.key.row.pk]})
        row = Dataset.objects.get(tenant=world.tenant)
        assert (row.name, row.embedding) == ("handbook", "embedder")
        assert list(row.grants.values_list("key_id", flat=True)) == [world.key.row.pk]

    def test_model_that_cannot_embed_is_refused(self, operator, world):
        address = url("files_dataset_add", tenant=world.tenant.pk)
        response = operator.post(address, {"name": "handbook", "embedding": "fast"})
        assert "embedding" in response.context["adminform"].form.errors

    def test_keys_of_another_tenant_are_refused(self, operator, world):
        other = factories.key(factories.tenant()).row
        response = operator.post(
            url("files_dataset_add", tenant=world.tenant.pk), {"name": "handbook", "keys": [other.pk]}
        )
        assert "keys" in response.context["adminform"].form.errors

    def test_grants_of_revoked_keys_stay(self, operator, world):
        row = Dataset.objects.create(tenant=world.tenant, name="handbook")
        row.grants.create(key=world.key.row)
        world.key.row.revoke()
        address = url("files_dataset_change", row.pk)
        operator.post(address, fields(operator.get(address)))
        assert row.grants.count() == 1

    def test_grant_can_be_removed(self, operator, world):
        row = Dataset.objects.create(tenant=world.tenant, name="handbook")
        row.grants.create(key=world.key.row)
        address = url("files_dataset_change", row.pk)
        operator.post(address, {**fields(operator.get(address)), "keys": []})
        assert row.grants.count() == 0

    def test_query_count_is_independent_of_rows(self, operator, world):
        address = url("files_dataset_changelist", tenant__id__exact=world.tenant.pk)
        Dataset.objects.create(tenant=world.tenant, name="first").grants.create(key=world.key.row)
        operator.get(address)
        with queries() as one:
            operator.get(address)
        for number in range(19):
            row = Dataset.objects.create(tenant=world.tenant, name=f"dataset-{number}")
            row.grants.create(key=world.key.row)
        with queries() as twenty:
            response = operator.get(address)
        assert len(response.context["cl"].result_list) == 20
        assert len(twenty) == len(one)
