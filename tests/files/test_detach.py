"""Permission to detach a file or delete a dataset where that also deletes files."""

import httpx
import pytest

from files.models import Dataset, File
from tests import factories
from tests.wire import envelope


@pytest.fixture
def store(world):
    return factories.dataset(world.tenant, keys=[world.key.row])


@pytest.fixture
def poor(gateway, world, store):
    """A client with a key that may change datasets and no files."""
    key = factories.key(world.tenant, scopes=factories.scopes_without("files:write"))
    store.grants.create(key=key.row)
    headers = {"authorization": f"Bearer {key.plain}"}
    with httpx.Client(base_url=gateway.base_url, headers=headers, timeout=30, verify=False) as client:
        yield client


def test_key_without_delete_permission_cannot_delete_by_detaching(http, store, poor):
    dataset_file = factories.dataset_file(store)
    address = f"/vector_stores/{store.pk}/files/{dataset_file.file_id}"
    error = envelope(poor.delete(address), 403, "insufficient_scope")
    assert "'files:write'" in error["message"]
    assert store.dataset_files.filter(pk=dataset_file.pk).exists()
    assert http.delete(address).status_code == 200
    assert not File.objects.filter(pk=dataset_file.file_id).exists()


def kept_elsewhere(world, store) -> list[File]:
    """Files of the store that are not its alone."""
    shared = factories.dataset_file(store).file
    factories.dataset_file(factories.dataset(world.tenant), file=shared)
    own = factories.dataset_file(store, file=factories.file(world.tenant, origin=File.Origin.FILES)).file
    return [shared, own]


def test_key_without_delete_permission_detaches_files_in_use_elsewhere(world, store, poor):
    for file in kept_elsewhere(world, store):
        assert poor.delete(f"/vector_stores/{store.pk}/files/{file.pk}").status_code == 200
        assert File.objects.filter(pk=file.pk).exists()
    assert store.dataset_files.count() == 0


@pytest.mark.parametrize("path", ["/datasets", "/vector_stores"])
def test_key_without_delete_permission_cannot_delete_files_with_their_dataset(http, world, store, poor, path):
    dataset_file = factories.dataset_file(store)
    kept = kept_elsewhere(world, store)
    error = envelope(poor.delete(f"{path}/{store.pk}"), 403, "insufficient_scope")
    assert "'files:write'" in error["message"]
    assert store.dataset_files.count() == 3
    assert http.delete(f"{path}/{store.pk}").status_code == 200
    assert not Dataset.objects.filter(pk=store.pk).exists()
    assert not File.objects.filter(pk=dataset_file.file_id).exists()
    assert File.objects.filter(pk__in=[file.pk for file in kept]).count() == 2


@pytest.mark.parametrize("path", ["/datasets", "/vector_stores"])
def test_key_without_delete_permission_deletes_a_dataset_of_files_in_use_elsewhere(world, store, poor, path):
    kept = kept_elsewhere(world, store)
    assert poor.delete(f"{path}/{store.pk}").status_code == 200
    assert not Dataset.objects.filter(pk=store.pk).exists()
    assert File.objects.filter(pk__in=[file.pk for file in kept]).count() == 2
