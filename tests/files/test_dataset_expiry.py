"""Expiry of unused datasets, through the official SDK and on both routes. Tests move time in the rows."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from hashlib import sha256

import httpx
import openai
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from files.models import Chunk, Dataset, DatasetFile, File, FileBatch
from files.uploads import cleanup, deletion
from files.uploads.store import FileUpload, IncomingFile, store_upload
from gtapi.errors import BadRequest
from tests import factories
from tests.waiting import another_connection_waits, eventually
from tests.wire import envelope

WEEK = {"anchor": "last_active_at", "days": 7}
TEXT = "The office opens at nine."
#: What a dataset says of its life under either name.
LIFE = ("status", "last_active_at", "expires_after", "expires_at")

either_name = pytest.mark.parametrize("face", ["/vector_stores", "/datasets"])


@pytest.fixture
def store(client) -> Dataset:
    """A store that expires after a week."""
    return Dataset.objects.get(pk=client.vector_stores.create(name="Notes", expires_after=WEEK).id)


def ago(store: Dataset, **time) -> datetime:
    """Have a store used last so long ago; the moment."""
    moment = timezone.now() - timedelta(**time)
    assert Dataset.objects.filter(pk=store.pk).update(last_active_at=moment) == 1
    return moment


def expire(store: Dataset) -> None:
    ago(store, days=7)


def used(store: Dataset) -> datetime | None:
    return Dataset.objects.values_list("last_active_at", flat=True).get(pk=store.pk)


def fill(store: Dataset, **fields) -> DatasetFile:
    dataset_file = factories.dataset_file(store, chunk_count=1, **fields)
    factories.chunk(dataset_file, TEXT)
    return dataset_file


def upload(sdk: openai.OpenAI, store: str) -> None:
    headers = {"authorization": f"Bearer {sdk.api_key}"}
    at = f"{str(sdk.base_url).rstrip('/')}/datasets/{store}/files"
    assert httpx.post(at, files={"file": ("a.txt", b"A")}, headers=headers, verify=False).status_code == 200


def test_vector_store_returns_its_expiry(client):
    for days in (1, 365):
        store = client.vector_stores.create(expires_after={"anchor": "last_active_at", "days": days})
        assert store.expires_after.to_dict() == {"anchor": "last_active_at", "days": days}
        assert store.expires_at == store.last_active_at + days * 86_400
        assert store.last_active_at >= store.created_at
        assert client.vector_stores.retrieve(store.id) == store
    lasting = client.vector_stores.create()
    assert (lasting.expires_after, lasting.expires_at) == (None, None)


@either_name
def test_expiry_is_set_and_returned_on_both_routes(http, face):
    store = http.post(face, json={"name": "Notes", "expires_after": WEEK}).json()
    life = {name: store[name] for name in LIFE}
    assert (life["status"], life["expires_after"]) == ("completed", WEEK)
    assert life["expires_at"] == life["last_active_at"] + 7 * 86_400
    for other in ("/vector_stores", "/datasets"):
        shown = http.get(f"{other}/{store['id']}").json()
        assert {name: shown[name] for name in LIFE} == life
        assert http.get(other).json()["data"] == [shown]


def test_dataset_is_in_progress_until_its_files_are_done(http, store):
    dataset_file = fill(store)
    for state, status in (
        (DatasetFile.State.UPLOADED, "in_progress"), (DatasetFile.State.PROCESSING, "in_progress"),
        (DatasetFile.State.READY, "completed"), (DatasetFile.State.FAILED, "completed"),
    ):  # fmt: skip
        DatasetFile.objects.filter(pk=dataset_file.pk).update(state=state)
        assert http.get(f"/datasets/{store.pk}").json()["status"] == status
    expire(store)
    assert http.get(f"/datasets/{store.pk}").json()["status"] == "expired"


def test_dataset_expiry_is_set_changed_retained_and_removed(http):
    at = f"/datasets/{http.post('/datasets', json={'name': 'Notes'}).json()['id']}"
    for body, after in (
        ({}, None), ({"expires_after": WEEK}, WEEK), ({"title": "T"}, WEEK),
        ({"expires_after": {**WEEK, "days": 30}}, {**WEEK, "days": 30}), ({"expires_after": None}, None),
    ):  # fmt: skip
        changed = http.post(at, json=body).json()
        assert changed["expires_after"] == after
        ends = changed["last_active_at"] + after["days"] * 86_400 if after else None
        assert changed["expires_at"] == ends


def test_expiry_is_set_changed_retained_and_removed(client):
    store = client.vector_stores.create()
    set_ = client.vector_stores.update(store.id, expires_after=WEEK)
    assert set_.expires_at == set_.last_active_at + 7 * 86_400
    assert client.vector_stores.update(store.id, name="Notes").expires_after.days == 7
    assert client.vector_stores.update(store.id, expires_after={**WEEK, "days": 30}).expires_after.days == 30
    gone = client.vector_stores.update(store.id, expires_after=None)
    assert (gone.expires_after, gone.expires_at) == (None, None)


@pytest.mark.parametrize(
    "use",
    [
        lambda sdk, store, file: sdk.vector_stores.search(store, query="office"),
        lambda sdk, store, file: sdk.vector_stores.update(store, name="Others"),
        lambda sdk, store, file: sdk.vector_stores.files.create(store, file_id=file),
        lambda sdk, store, file: sdk.vector_stores.file_batches.create(store, file_ids=[file]),
        lambda sdk, store, file: upload(sdk, store),
    ],
    ids=["search", "change", "attach", "batch", "upload"],
)  # fmt: skip
@pytest.mark.parametrize("full", [False, True], ids=["empty", "full"])
def test_use_postpones_expiry(client, world, store, use, full):
    if full:
        fill(store)
    file = factories.file(world.tenant, origin=File.Origin.FILES, key=world.key.row).pk
    before = ago(store, days=6)
    use(client, store.pk, file)
    assert used(store) > before + timedelta(days=5)


def test_reading_a_dataset_does_not_postpone_expiry(client, store):
    before = ago(store, days=6)
    client.vector_stores.retrieve(store.pk)
    list(client.vector_stores.list())
    list(client.vector_stores.files.list(store.pk))
    assert used(store) == before


def test_last_use_is_recorded_every_ten_minutes(client, store):
    fill(store)
    before = ago(store, minutes=9)
    client.vector_stores.search(store.pk, query="office")
    assert used(store) == before
    before = ago(store, minutes=11)
    client.vector_stores.search(store.pk, query="office")
    assert used(store) > before


def test_search_does_not_wait_for_a_concurrent_change(client, store):
    fill(store)
    before = ago(store, days=1)
    with transaction.atomic():
        Dataset.objects.select_for_update().get(pk=store.pk)
        assert client.vector_stores.search(store.pk, query="office").data
    assert used(store) == before


def test_agent_response_counts_as_use_until_expiry(http, world, upstream, store):
    fill(store)
    agent = factories.agent(world.fast, "guide", published=False)
    agent.datasets.set([store])
    agent.publish()
    factories.grant(world.key.row, agent)
    body = {"model": "guide", "messages": [{"role": "user", "content": "When does the office open?"}]}

    def prompt() -> str:
        assert http.post("/chat/completions", json=body).status_code == 200
        return str(upstream.received(world.raw)[-1].json["messages"])

    before = ago(store, days=6)
    assert TEXT in prompt()
    assert used(store) > before
    expire(store)
    before = used(store)
    assert TEXT not in prompt()
    assert used(store) == before


def test_expired_dataset_is_not_searched_and_takes_no_files(client, http, world, store):
    there = fill(store)
    expire(store)
    before = used(store)
    file = factories.file(world.tenant, origin=File.Origin.FILES, key=world.key.row).pk
    at = f"/vector_stores/{store.pk}"
    for path, sent in (
        (f"{at}/search", {"json": {"query": "office"}}),
        (f"/datasets/{store.pk}/search", {"json": {"query": "office"}}),
        (f"{at}/files", {"json": {"file_id": file}}),
        (f"{at}/files", {"json": {"file_id": there.file_id}}),
        (f"{at}/file_batches", {"json": {"file_ids": [file]}}),
        (f"/datasets/{store.pk}/files", {"files": {"file": ("a.txt", b"A")}}),
    ):
        error = envelope(http.post(path, **sent), 400, "dataset_expired")
        assert store.pk in error["message"]
    shown = client.vector_stores.retrieve(store.pk)
    assert (shown.status, shown.expires_at) == ("expired", int((before + timedelta(days=7)).timestamp()))
    assert client.vector_stores.update(store.pk, name="Others").status == "expired"
    assert http.get(f"/datasets/{store.pk}").json()["expires_at"] == shown.expires_at
    assert used(store) == before
    assert store.dataset_files.count() == 1


@pytest.mark.parametrize("full", [False, True], ids=["empty", "the same content"])
def test_dataset_that_expires_during_an_upload_refuses_the_file(world, store, tmp_path, full):
    path = tmp_path / "upload"
    path.write_bytes(b"A")
    incoming = IncomingFile(path, "a.txt", "text/plain", 1)
    if full:
        fill(store, digest=sha256(b"A").hexdigest())
    expire(store)
    for key_id in (world.key.row.pk, None):
        with pytest.raises(BadRequest) as refused:
            store_upload(FileUpload(world.tenant.pk, key_id, File.Origin.DATASET, incoming, dataset=store))
        assert refused.value.code == "dataset_expired"
    assert File.objects.filter(tenant=world.tenant).count() == full


def test_sweep_removes_only_the_contents_of_expired_datasets(client, world, store):
    path = default_storage.save("files/came", ContentFile(b"A"))
    came = fill(store, file=factories.file(world.tenant, path=path)).file_id
    own = factories.file(world.tenant, origin=File.Origin.FILES, key=world.key.row).pk
    fill(store, file=File.objects.get(pk=own))
    FileBatch.objects.create(tenant=world.tenant, dataset=store)
    other = factories.dataset(world.tenant)
    both = fill(store).file_id
    fill(other, file=File.objects.get(pk=both))
    ago(store, days=6, hours=23)
    cleanup.clean_up()
    assert store.dataset_files.count() == 3
    expire(store)
    cleanup.clean_up()
    assert not store.dataset_files.exists()
    assert not store.batches.exists()
    assert set(File.objects.filter(pk__in=[came, own, both]).values_list("pk", flat=True)) == {own, both}
    assert not default_storage.exists(path)
    chunks = Chunk.objects.filter(tenant=world.tenant)
    assert (chunks.filter(dataset=store).count(), chunks.filter(dataset=other).count()) == (0, 1)
    shown = client.vector_stores.retrieve(store.pk)
    assert (shown.status, shown.file_counts.total, shown.name) == ("expired", 0, "Notes")
    assert client.vector_stores.delete(store.pk).deleted


@pytest.mark.parametrize("after", [{**WEEK, "days": 1}, WEEK, None], ids=["shorter", "same", "never"])
@either_name
def test_new_expiry_reactivates_a_dataset(client, http, store, after, face):
    expire(store)
    cleanup.clean_up()
    assert http.post(f"{face}/{store.pk}", json={"metadata": {"a": "b"}}).json()["status"] == "expired"
    shown = http.post(f"{face}/{store.pk}", json={"expires_after": after}).json()
    assert (shown["status"], shown["expires_after"]) == ("completed", after)
    fill(store)
    cleanup.clean_up()
    assert client.vector_stores.search(store.pk, query="office").data


@pytest.mark.parametrize("after", [WEEK, None], ids=["later", "never"])
@either_name
def test_dataset_reactivated_before_the_sweep_is_empty(http, world, store, after, face):
    came = fill(store).file_id
    fill(store, file=factories.file(world.tenant, origin=File.Origin.FILES, key=world.key.row))
    FileBatch.objects.create(tenant=world.tenant, dataset=store)
    expire(store)
    stale = Dataset.objects.get(pk=store.pk)
    assert http.post(f"{face}/{store.pk}", json={"metadata": {"a": "b"}}).json()["status"] == "expired"
    assert store.dataset_files.count() == 2
    assert http.post(f"{face}/{store.pk}", json={"expires_after": after}).json()["status"] == "completed"
    assert not store.dataset_files.exists()
    assert not store.batches.exists()
    assert [file.origin for file in File.objects.filter(tenant=world.tenant)] == [File.Origin.FILES]
    assert http.post(f"/datasets/{store.pk}/search", json={"query": "office"}).json()["data"] == []
    envelope(http.get(f"/files/{came}"), 404, "file_not_found")
    fill(store)
    deletion.empty_expired_dataset(stale)
    assert len(http.post(f"/datasets/{store.pk}/search", json={"query": "office"}).json()["data"]) == 1


def test_reactivated_dataset_is_emptied_in_the_common_lock_order(http, store):
    dataset_file = fill(store)
    expire(store)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            # As attaching the file to a dataset does.
            File.objects.select_for_update(no_key=True).get(pk=dataset_file.file_id)
            change = pool.submit(http.post, f"/datasets/{store.pk}", json={"expires_after": None})
            eventually(another_connection_waits)
            Dataset.objects.select_for_update(no_key=True).get(pk=store.pk)
        assert change.result(20).json()["status"] == "completed"
    assert not store.dataset_files.exists()


@either_name
def test_contents_of_an_expired_dataset_are_hidden_before_the_sweep(http, world, store, face):
    batch = FileBatch.objects.create(tenant=world.tenant, dataset=store)
    came = fill(store, batch=batch).file_id
    own = factories.file(world.tenant, origin=File.Origin.FILES, key=world.key.row)
    other = factories.dataset(world.tenant, keys=[world.key.row])
    both = factories.file(world.tenant)
    for file in (own, both):
        fill(store, file=file, batch=batch)
    fill(other, file=both)
    lists = (f"{face}/{store.pk}/files", f"/vector_stores/{store.pk}/file_batches/{batch.pk}/files")
    one = [f"{face}/{store.pk}/files/{file}" for file in (came, own.pk, both.pk)]
    gone = [f"/files/{came}", f"/files/{came}/content", *one]
    gone.append(f"/vector_stores/{store.pk}/files/{came}/content")
    for at in (f"/files/{came}", *one):
        assert http.get(at).status_code == 200
    assert [len(http.get(at).json()["data"]) for at in lists] == [3, 3]
    expire(store)
    assert [http.get(at).json()["data"] for at in lists] == [[], []]
    for at in gone:
        envelope(http.get(at), 404, "file_not_found")
    assert http.get(f"{face}/{store.pk}").json()["file_counts"]["total"] == 0
    assert {file["id"] for file in http.get("/files").json()["data"]} == {own.pk, both.pk}
    shown = [http.get(f"/files/{file.pk}").json() for file in (own, both)]
    assert [file["dataset_id"] for file in shown] == [None, other.pk]
    assert store.dataset_files.count() == 3


@either_name
def test_operators_dataset_cannot_expire(http, world, face):
    operators = factories.dataset(world.tenant, keys=[world.key.row])
    at = f"{face}/{operators.pk}"
    refused = envelope(http.post(at, json={"expires_after": WEEK}), 400, "invalid_value")
    assert refused["param"] == "expires_after"
    assert http.post(at, json={"expires_after": None}).json()["expires_after"] is None
    operators.refresh_from_db()
    assert operators.expires_after is None


@either_name
def test_key_without_delete_permission_cannot_set_expiry(http, gateway, world, face):
    """Also if the dataset is empty: expiry deletes files that any key uploads later."""
    key = factories.key(world.tenant, scopes=["datasets:write"])
    sdk = openai.OpenAI(base_url=gateway.base_url, api_key=key.plain, max_retries=0)

    def send(path: str, body: dict) -> dict:
        return sdk.post(path, cast_to=object, body={"name": "Notes", **body})

    store = Dataset.objects.get(pk=send(face, {"expires_after": None})["id"])
    store.grants.create(key=world.key.row)
    at = f"{face}/{store.pk}"
    for path in (face, at):
        with pytest.raises(openai.PermissionDeniedError) as refused:
            send(path, {"expires_after": WEEK})
        assert "'files:write'" in refused.value.message
    assert [dataset.expires_after for dataset in Dataset.objects.filter(tenant=world.tenant)] == [None]
    assert http.post(at, json={"expires_after": WEEK}).json()["expires_after"] == WEEK
    assert send(at, {"metadata": {"a": "b"}})["expires_after"] == WEEK
    assert send(at, {"expires_after": None})["expires_after"] is None


@pytest.mark.parametrize("who", ["another key", "another tenant", "only reads"])
@either_name
def test_other_key_cannot_change_expiry(gateway, upstream, world, store, who, face):
    if who == "another tenant":
        key = factories.world(upstream.base_url).key
    else:
        key = factories.key(
            world.tenant, scopes=["datasets:read" if who == "only reads" else "datasets:write"]
        )
    if who == "only reads":
        store.grants.create(key=key.row)
    sdk = openai.OpenAI(base_url=gateway.base_url, api_key=key.plain, max_retries=0)
    before = ago(store, days=6)
    expected = openai.PermissionDeniedError if who == "only reads" else openai.NotFoundError
    for after in ({**WEEK, "days": 1}, None):
        with pytest.raises(expected):
            sdk.post(f"{face}/{store.pk}", cast_to=object, body={"expires_after": after})
    if who != "only reads":
        with pytest.raises(openai.NotFoundError):
            sdk.vector_stores.search(store.pk, query="office")
    store.refresh_from_db()
    assert (store.expires_after, store.last_active_at) == (timedelta(days=7), before)
