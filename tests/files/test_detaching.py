"""Who may take a file out of a vector store, where that deletes it."""

import httpx
import pytest

from files.models import File
from tests import factories
from tests.wire import envelope


@pytest.fixture
def store(world):
    return factories.dataset(world.tenant, keys=[world.key.row])


@pytest.fixture
def detach(gateway, world, store):
    """Takes a file out of the store, with a key that may change datasets and no files."""
    key = factories.key(world.tenant, scopes=factories.scopes_without("files:write"))
    store.grants.create(key=key.row)

    def send(file_id: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {key.plain}"}
        address = f"{gateway.base_url}/vector_stores/{store.pk}/files/{file_id}"
        return httpx.delete(address, headers=headers, timeout=30, verify=False)

    return send


def test_a_key_that_may_delete_no_files_does_not_do_so_by_detaching(http, store, detach):
    place = factories.place(store)
    error = envelope(detach(place.file_id), 403, "insufficient_scope")
    assert "'files:write'" in error["message"]
    assert store.places.filter(pk=place.pk).exists()
    assert http.delete(f"/vector_stores/{store.pk}/files/{place.file_id}").status_code == 200
    assert not File.objects.filter(pk=place.file_id).exists()


def test_it_takes_out_what_is_kept_elsewhere(world, store, detach):
    shared = factories.place(store).file
    factories.place(factories.dataset(world.tenant), file=shared)
    own = factories.place(store, file=factories.file(world.tenant, origin=File.Origin.FILES)).file
    for file in (shared, own):
        assert detach(file.pk).status_code == 200
        assert File.objects.filter(pk=file.pk).exists()
    assert store.places.count() == 0
