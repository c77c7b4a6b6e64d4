"""`manage.py apply --prune`: what the file does not name goes, in the tenants that it does name."""

import pytest
from django.core.management.base import CommandError

from files.models import Dataset, File
from inference.models import Agent, CatalogEntry, Grant, Provider
from tenants.models import InferenceKey, Tenant
from tests import factories

FULL = """\
    tenants:
      - slug: {slug}
        providers:
          - {{name: main, base_url: "https://a.example/v1"}}
          - {{name: spare, base_url: "https://b.example/v1"}}
        catalog:
          - {{name: fast, provider: main, model: one}}
          - {{name: slow, provider: spare, model: two}}
        datasets: [{{name: handbook}}]
        agents:
          - {{alias: support, catalog: fast}}
          - {{alias: sales, catalog: slow, datasets: [handbook]}}
        keys:
          - {{name: web, allow: [support, sales, slow], datasets: [handbook]}}
          - {{name: old, allow: [sales]}}
"""
LESS = """\
    tenants:
      - slug: {slug}
        providers: [{{name: main, base_url: "https://a.example/v1"}}]
        catalog: [{{name: fast, provider: main, model: one}}]
        agents: [{{alias: support, catalog: fast}}]
        keys: [{{name: web, allow: [support]}}]
"""


@pytest.fixture
def full(configuration, slug) -> None:
    configuration.apply(FULL.format(slug=slug))


def test_prune_deletes_unnamed_records_and_lists_them(configuration, slug, full):
    printed = configuration.apply(LESS.format(slug=slug), "--prune", "--yes")
    assert printed.splitlines() == [
        f"- key {slug}/old (revoked)",
        f"- agent {slug}/sales",
        f"- catalog {slug}/slow",
        f"~ key {slug}/web: datasets",
        f"- dataset {slug}/handbook",
        f"- provider {slug}/spare",
        "0 created, 1 changed, 5 deleted.",
    ]
    tenant = Tenant.objects.get(slug=slug)
    assert list(tenant.targets.values_list("name", flat=True)) == ["fast", "support"]
    assert list(tenant.providers.values_list("name", flat=True)) == ["main"]
    assert not tenant.datasets.exists()
    assert tenant.keys.get(name="old").state == "revoked"
    assert configuration.apply(LESS.format(slug=slug), "--prune") == "No changes.\n"


def test_without_prune_nothing_is_deleted(configuration, slug, full):
    printed = configuration.apply(LESS.format(slug=slug))
    assert printed.splitlines()[0] == f"~ key {slug}/web: allow, datasets"
    assert Agent.objects.filter(tenant__slug=slug).count() == 2
    assert InferenceKey.objects.filter(tenant__slug=slug, revoked_at=None).count() == 2


def test_dry_run_lists_deletions_and_the_confirmation_that_datasets_need(configuration, slug, full):
    printed = configuration.apply(LESS.format(slug=slug), "--prune", "--dry-run")
    assert f"- dataset {slug}/handbook (needs --yes)" in printed.splitlines()
    assert Dataset.objects.filter(tenant__slug=slug).exists()
    assert InferenceKey.objects.filter(tenant__slug=slug, revoked_at=None).count() == 2


def test_dataset_is_deleted_only_after_confirmation(configuration, slug, full):
    with pytest.raises(CommandError) as refusal:
        configuration.apply(LESS.format(slug=slug), "--prune")
    assert str(refusal.value) == (
        "tenants[0].datasets: the dataset 'handbook' would be deleted with all its files; add --yes to confirm"
    )
    assert Agent.objects.filter(tenant__slug=slug).count() == 2
    assert InferenceKey.objects.filter(tenant__slug=slug, revoked_at=None).count() == 2


def test_files_of_a_deleted_dataset_are_deleted_and_those_of_conversations_stay(configuration, slug, full):
    tenant = Tenant.objects.get(slug=slug)
    dataset_file = factories.dataset_file(tenant.datasets.get(name="handbook"))
    factories.chunk(dataset_file)
    said = factories.dataset_file(factories.dataset(tenant, hidden=True))
    configuration.apply(LESS.format(slug=slug), "--prune", "--yes")
    assert list(File.objects.filter(tenant=tenant)) == [said.file]


def test_unnamed_tenants_are_unchanged(configuration, slug, full):
    other = factories.unique("other")
    configuration.apply(f"tenants: [{{slug: {other}}}]", "--prune", "--yes")
    assert Agent.objects.filter(tenant__slug=slug).count() == 2
    assert Tenant.objects.get(slug=slug).active


def test_tenant_without_records_is_emptied(configuration, slug, full):
    configuration.apply(f"tenants: [{{slug: {slug}}}]", "--prune", "--yes")
    tenant = Tenant.objects.get(slug=slug)
    assert not tenant.targets.exists()
    assert not tenant.providers.exists()
    assert not tenant.datasets.exists()
    assert not tenant.keys.live().exists()


def test_a_revoked_name_can_be_taken_again_by_another_key(configuration, slug, full):
    configuration.apply(LESS.format(slug=slug), "--prune", "--yes")
    old = InferenceKey.objects.get(tenant__slug=slug, name="old")
    configuration.apply(FULL.format(slug=slug))
    new = InferenceKey.objects.get(tenant__slug=slug, name="old", revoked_at=None)
    assert new.public_id != old.public_id
    assert new.state == "active"


def test_reference_to_a_deleted_record_is_refused(configuration, slug, full):
    text = LESS.format(slug=slug).replace("catalog: fast", "catalog: slow").replace("[support]", "[sales]")
    with pytest.raises(CommandError) as refusal:
        configuration.apply(text, "--prune", "--yes")
    assert str(refusal.value).splitlines() == [
        "tenants[0].agents[0].catalog: there is no catalog entry 'slow'",
        "tenants[0].keys[0].allow[0]: there is no agent or catalog entry 'sales'",
    ]
    assert Provider.objects.filter(tenant__slug=slug).count() == 2


def test_an_alias_becomes_a_catalog_entry_and_the_other_way_round(configuration, slug, full):
    text = f"""\
        tenants:
          - slug: {slug}
            providers: [{{name: main, base_url: "https://a.example/v1"}}]
            catalog: [{{name: support, provider: main, model: one}}]
            datasets: [{{name: handbook}}]
            agents:
              - {{alias: sales, catalog: support}}
              - {{alias: fast, catalog: support}}
            keys: [{{name: web, allow: [support, fast]}}]
        """
    printed = configuration.apply(text, "--prune").splitlines()
    assert f"- agent {slug}/support" in printed
    assert f"+ catalog {slug}/support" in printed
    assert f"- catalog {slug}/fast" in printed
    assert f"+ agent {slug}/fast" in printed
    tenant = Tenant.objects.get(slug=slug)
    assert {row.name for row in CatalogEntry.objects.filter(tenant=tenant)} == {"support"}
    assert {row.name for row in Agent.objects.filter(tenant=tenant)} == {"sales", "fast"}
    granted = Grant.objects.filter(key__tenant=tenant, key__name="web").values_list("target__name", flat=True)
    assert set(granted) == {"support", "fast"}
    assert configuration.apply(text, "--prune") == "No changes.\n"


def test_live_version_is_unchanged_when_the_drafts_model_is_deleted(configuration, slug, full):
    agent = Agent.objects.get(tenant__slug=slug, name="support")
    version = agent.live
    configuration.apply(
        LESS.format(slug=slug)
        .replace("name: fast", "name: faster")
        .replace("catalog: fast", "catalog: faster"),
        "--prune",
        "--yes",
    )
    version.refresh_from_db()
    agent.refresh_from_db()
    assert version.catalog is None
    assert (agent.live.number, agent.live.catalog.name) == (2, "faster")


def test_records_of_clients_are_not_pruned(configuration, slug, full):
    tenant = Tenant.objects.get(slug=slug)
    web, support = tenant.keys.get(name="web"), Agent.objects.get(tenant=tenant, name="support")
    made = factories.dataset(tenant, "theirs", keys=[web], by_client=True)
    support.datasets.add(made)
    configuration.apply(LESS.format(slug=slug), "--prune", "--yes")
    assert list(tenant.datasets.all()) == [made]
    assert made.grants.get().key_id == web.pk
    assert list(support.datasets.all()) == [made]
    assert configuration.apply(LESS.format(slug=slug), "--prune") == "No changes.\n"
