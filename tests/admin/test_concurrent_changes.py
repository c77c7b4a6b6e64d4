"""Forms that are saved while a client, a worker or another operator changes or deletes the same row."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.contrib.auth.models import User
from django.db import connections, transaction
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from files.admin.datasets import DatasetForm
from files.models import Dataset, DatasetFile
from files.uploads import deletion
from inference.models import CatalogEntry
from tests import factories
from tests.admin.conftest import fields, said, url
from tests.waiting import another_connection_waits, eventually


def save(client: Client, address: str, data: dict[str, Any]) -> HttpResponse:
    try:
        return client.post(address, data, follow=True)
    finally:
        connections.close_all()


def save_while(client: Client, address: str, change: Callable[[], object], **typed: Any) -> HttpResponse:
    """Save a form with changed values while a concurrent transaction commits another change."""
    data = {**fields(client.get(address)), **typed}
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            change()
            saving = pool.submit(save, client, address, data)
            eventually(another_connection_waits)
        return saving.result(20)


def set_to(row: Model, **values: Any) -> Callable[[], object]:
    return lambda: type(row)._base_manager.filter(pk=row.pk).update(**values)


def test_concurrent_changes_to_a_dataset_are_kept(operator, world):
    dataset = factories.dataset(world.tenant, "handbook", keys=[world.key.row])
    meanwhile = {"generation": 7, "next_generation": 8, "metadata": {"topic": "bikes"}}
    address = url("files_dataset_change", dataset.pk)
    assert save_while(operator, address, set_to(dataset, **meanwhile), name="manual").status_code == 200
    found = Dataset.objects.filter(pk=dataset.pk).values("name", *meanwhile).get()
    assert found == {"name": "manual", **meanwhile}


def test_dataset_deleted_concurrently_stays_deleted(operator, world):
    dataset = factories.dataset(world.tenant, "handbook", keys=[world.key.row])
    address = url("files_dataset_change", dataset.pk)
    answer = save_while(operator, address, lambda: deletion.delete_dataset(dataset), name="manual")
    assert "Perhaps it was deleted?" in said(answer)[0]
    assert not Dataset.objects.filter(pk=dataset.pk).exists()


def test_files_can_be_added_to_a_dataset_while_its_form_is_saved(operator, world, monkeypatch):
    dataset = factories.dataset(world.tenant, "handbook")
    address = url("files_dataset_change", dataset.pk)
    data = {**fields(operator.get(address)), "embedding": ""}
    placed: list[DatasetFile] = []

    def dataset_file() -> None:
        try:
            placed.append(factories.dataset_file(dataset))
        finally:
            connections.close_all()

    clean = DatasetForm.clean

    def while_cleaned(form: DatasetForm) -> Any:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(dataset_file).result(20)
        return clean(form)

    monkeypatch.setattr(DatasetForm, "clean", while_cleaned)
    assert operator.post(address, data).status_code == 302
    assert list(dataset.dataset_files.all()) == placed


def test_concurrent_rotation_of_a_key_is_kept(operator, world):
    row = world.key.row
    address = url("tenants_inferencekey_change", row.pk)
    assert save_while(operator, address, row.rotate, name="laptop").status_code == 200
    new = (row.public_id, bytes(row.digest))
    row.refresh_from_db()
    assert ((row.public_id, bytes(row.digest)), row.name) == (new, "laptop")


def test_key_revoked_concurrently_is_not_changed(operator, world):
    row = world.key.row
    address = url("tenants_inferencekey_change", row.pk)
    assert save_while(operator, address, row.revoke, name="laptop").status_code == 403
    row.refresh_from_db()
    assert row.revoked_at
    assert row.name != "laptop"


def test_agent_unpublished_concurrently_stays_unpublished(operator, world):
    address = url("inference_agent_change", world.support.pk)
    assert save_while(operator, address, world.support.unpublish, instructions="Be brief.").status_code == 200
    world.support.refresh_from_db()
    assert (world.support.published, world.support.instructions) == (False, "Be brief.")


def test_concurrent_change_of_a_credential_is_kept(operator, world):
    provider = CatalogEntry.objects.filter(tenant=world.tenant).first().provider
    address = url("inference_provider_change", provider.pk)
    change = set_to(provider, api_key="sk-new")
    assert save_while(operator, address, change, total_timeout="77").status_code == 200
    provider.refresh_from_db()
    assert (provider.api_key, provider.total_timeout) == ("sk-new", 77)


def test_concurrent_changes_to_a_catalog_entry_and_a_tenant_are_kept(operator, world):
    entry = CatalogEntry.objects.filter(tenant=world.tenant).first()
    created = timezone.now()
    address = url("inference_catalogentry_change", entry.pk)
    assert (
        save_while(operator, address, set_to(entry, created_at=created), context_window="900").status_code
        == 200
    )
    entry.refresh_from_db()
    assert (entry.created_at, entry.context_window) == (created, 900)
    slug = factories.unique("renamed")
    address = url("tenants_tenant_change", world.tenant.pk)
    assert save_while(operator, address, set_to(world.tenant, slug=slug), name="Acme").status_code == 200
    world.tenant.refresh_from_db()
    assert (world.tenant.slug, world.tenant.name) == (slug, "Acme")


def test_concurrent_password_change_is_kept(operator):
    user = User.objects.create_user(factories.unique("staff"), password="one")
    other = User.objects.create_user(factories.unique("staff"), password="two")
    data = {"last_login_0": "", "last_login_1": ""}
    address = url("auth_user_change", user.pk)
    change = set_to(user, password=other.password)
    assert save_while(operator, address, change, **data, first_name="Mia").status_code == 200
    user.refresh_from_db()
    assert (user.password, user.first_name) == (other.password, "Mia")
