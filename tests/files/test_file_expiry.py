"""Files that expire: gone for clients at that second, and deleted by the next sweep. Time is moved in the rows."""

from datetime import timedelta

import openai
import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from files.models import Chunk, DatasetFile, File
from files.uploads import cleanup
from tests import factories
from tests.wire import envelope

HOUR = {"anchor": "created_at", "seconds": 3600}
TEXT = b"The office opens at nine."


@pytest.fixture
def store(world):
    return factories.dataset(world.tenant, keys=[world.key.row])


def upload(client, **more):
    return client.files.create(file=("notes.txt", TEXT), purpose="assistants", **more)


def expire(*ids: str) -> None:
    """Move files to a time at which they have just expired."""
    assert File.objects.filter(pk__in=ids).update(expires_at=timezone.now()) == len(ids)


def put(store, file_id: str) -> DatasetFile:
    """Have a file ready in a dataset."""
    dataset_file = factories.dataset_file(store, file=File.objects.get(pk=file_id), chunk_count=1)
    factories.chunk(dataset_file, TEXT.decode())
    return dataset_file


@pytest.mark.parametrize("seconds", [3600, 2_592_000])
def test_file_returns_its_expiry(client, seconds):
    stored_file = upload(client, expires_after={"anchor": "created_at", "seconds": seconds})
    assert stored_file.expires_at == stored_file.created_at + seconds
    assert client.files.retrieve(stored_file.id) == stored_file
    assert [file.expires_at for file in client.files.list()] == [stored_file.expires_at]
    assert upload(client).expires_at is None


def test_expired_file_is_404(client, http, world):
    stored_file, other_file = upload(client, expires_after=HOUR), upload(client)
    File.objects.filter(pk=stored_file.id).update(expires_at=timezone.now() + timedelta(minutes=1))
    assert client.files.content(stored_file.id).read() == TEXT
    expire(stored_file.id)
    assert [file.id for file in client.files.list()] == [other_file.id]
    for method, path in (
        ("get", f"/files/{stored_file.id}"), ("get", f"/files/{stored_file.id}/content"), ("delete", f"/files/{stored_file.id}"),
    ):  # fmt: skip
        envelope(http.request(method, path), 404, "file_not_found")
    assert File.objects.filter(pk=stored_file.id).exists()


def test_expired_file_is_hidden_from_its_datasets(client, http, store):
    stored_file, other_file = upload(client, expires_after=HOUR), upload(client)
    batch = client.vector_stores.file_batches.create(store.pk, file_ids=[stored_file.id, other_file.id])
    expire(stored_file.id)
    files = client.vector_stores.files
    assert [file.id for file in files.list(store.pk)] == [other_file.id]
    assert client.vector_stores.retrieve(store.pk).file_counts.total == 1
    batches = client.vector_stores.file_batches
    assert batches.retrieve(batch.id, vector_store_id=store.pk).file_counts.total == 1
    listed = batches.list_files(batch.id, vector_store_id=store.pk)
    assert [file.id for file in listed] == [other_file.id]
    assert [file["id"] for file in http.get(f"/datasets/{store.pk}/files").json()["data"]] == [other_file.id]
    for at in (
        f"/vector_stores/{store.pk}/files/{stored_file.id}",
        f"/datasets/{store.pk}/files/{stored_file.id}",
    ):
        envelope(http.get(at), 404, "file_not_found")
        envelope(http.delete(at), 404, "file_not_found")
    envelope(http.get(f"/vector_stores/{store.pk}/files/{stored_file.id}/content"), 404, "file_not_found")
    with pytest.raises(openai.NotFoundError):
        files.create(store.pk, file_id=stored_file.id)
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.create(file_ids=[stored_file.id])


def test_expired_file_is_not_searched(client, store):
    stored_file, other_file = upload(client, expires_after=HOUR), upload(client)
    for file in (stored_file, other_file):
        put(store, file.id)
    search = client.vector_stores.search
    assert {found.file_id for found in search(store.pk, query="office")} == {stored_file.id, other_file.id}
    expire(stored_file.id)
    assert [found.file_id for found in search(store.pk, query="office")] == [other_file.id]


def test_expired_file_of_another_key_is_hidden_from_a_granted_dataset(client, http, store, world):
    others = factories.key(world.tenant).row
    later = timezone.now() + timedelta(hours=1)
    file = factories.file(world.tenant, origin=File.Origin.FILES, key=others, expires_at=later)
    put(store, file.pk)
    assert client.files.retrieve(file.pk).expires_at == int(later.timestamp())
    expire(file.pk)
    envelope(http.get(f"/files/{file.pk}"), 404, "file_not_found")
    assert client.files.list().data == []
    assert client.vector_stores.search(store.pk, query="office").data == []


def test_upload_does_not_reuse_an_expiring_file(client, http, store):
    file = upload(client, expires_after=HOUR)
    put(store, file.id)
    again = lambda: http.post(f"/datasets/{store.pk}/files", files={"file": ("notes.txt", TEXT)}).json()  # noqa: E731
    other_file = again()
    assert (other_file["id"] != file.id, other_file["expires_at"]) == (True, None)
    expire(file.id)
    cleanup.delete_expired_files()
    assert again()["id"] == other_file["id"]
    assert [dataset_file.file_id for dataset_file in store.dataset_files.all()] == [other_file["id"]]


def test_idempotency_key_covers_the_expiry_and_is_free_after_it(client):
    headers = {"Idempotency-Key": "k1"}
    file = upload(client, expires_after=HOUR, extra_headers=headers)
    assert upload(client, expires_after=HOUR, extra_headers=headers).id == file.id
    for other in ({}, {"expires_after": {**HOUR, "seconds": 7200}}):
        with pytest.raises(openai.ConflictError):
            upload(client, extra_headers=headers, **other)
    expire(file.id)
    anew = upload(client, expires_after=HOUR, extra_headers=headers)
    assert anew.id != file.id
    assert upload(client, expires_after=HOUR, extra_headers=headers).id == anew.id


def test_sweep_deletes_only_expired_files(client, store, monkeypatch):
    monkeypatch.setattr(cleanup, "BATCH", 2)
    expired = [upload(client, expires_after=HOUR).id for _ in range(3)]
    other_file = [upload(client, expires_after=HOUR).id, upload(client).id]
    for file_id in (expired[0], *other_file):
        put(store, file_id)
    paths = dict(File.objects.filter(pk__in=[*expired, *other_file]).values_list("pk", "path"))
    expire(*expired)
    cleanup.clean_up()
    assert set(File.objects.filter(pk__in=paths).values_list("pk", flat=True)) == set(other_file)
    assert {file_id for file_id, path in paths.items() if default_storage.exists(path)} == set(other_file)
    assert set(store.dataset_files.values_list("file", flat=True)) == set(other_file)
    assert Chunk.objects.filter(tenant=store.tenant, dataset=store).count() == 2
