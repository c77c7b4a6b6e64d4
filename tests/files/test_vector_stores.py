"""Vector stores by the official SDK, unchanged and strict, without a worker."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest

from files.models import Dataset, DatasetFile, File, FileBatch
from tests import factories
from tests.wire import envelope

State = DatasetFile.State
NOTES = ("notes.txt", b"The office opens at nine.")


@pytest.fixture
def store(world) -> Dataset:
    """A dataset that is granted to the test's key."""
    return factories.dataset(world.tenant, keys=[world.key.row])


@pytest.fixture
def uploaded(client):
    """Uploads a new file and returns its id."""

    def upload(text: str = "The office opens at nine.") -> str:
        return client.files.create(file=("notes.txt", text.encode()), purpose="assistants").id

    return upload


def ended(dataset_file_id: str, **fields) -> None:
    """Do what a worker would have done to a file in the dataset."""
    values = {"state": State.READY, "progress": 100, **fields}
    DatasetFile.objects.filter(file=dataset_file_id).update(**values)


def test_vector_store_is_created_listed_changed_and_deleted(client, world):
    vector_store = client.vector_stores.create(name="What we know", metadata={"team": "people"})
    assert vector_store.id.startswith("ds_")
    assert (vector_store.name, vector_store.status, vector_store.usage_bytes) == (
        "What we know",
        "completed",
        0,
    )
    assert vector_store.file_counts.to_dict() == {
        "in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0,
    }  # fmt: skip
    row = Dataset.objects.get(pk=vector_store.id)
    assert (row.name, row.title, row.metadata) == ("what-we-know", "What we know", {"team": "people"})
    assert client.vector_stores.retrieve(vector_store.id) == vector_store
    changed = client.vector_stores.update(vector_store.id, name="Handbook", metadata=None)
    assert (changed.name, changed.metadata) == ("Handbook", {})
    row.refresh_from_db()
    assert (row.name, row.title) == ("what-we-know", "Handbook")
    more = [client.vector_stores.create().id for _ in range(4)]
    assert [store.id for store in client.vector_stores.list(limit=2, order="asc")] == [vector_store.id, *more]
    gone = client.vector_stores.delete(vector_store.id)
    assert (gone.id, gone.deleted) == (vector_store.id, True)
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.retrieve(vector_store.id)


def test_vector_store_is_in_progress_until_its_files_are_done(client, uploaded):
    ids = [uploaded(text) for text in ("One.", "Two.", "Three.")]
    store = client.vector_stores.create(name="Three", file_ids=[*ids, ids[0]])
    assert (store.status, store.file_counts.in_progress, store.file_counts.total) == ("in_progress", 3, 3)
    assert store.usage_bytes == len("One.Two.Three.")
    ended(ids[0])
    ended(ids[1], state=State.FAILED)
    assert client.vector_stores.retrieve(store.id).status == "in_progress"
    ended(ids[2], state=State.CANCELLED)
    done = client.vector_stores.retrieve(store.id)
    assert done.status == "completed"
    assert done.file_counts.to_dict() == {
        "in_progress": 0, "completed": 1, "failed": 1, "cancelled": 1, "total": 3,
    }  # fmt: skip


def test_invalid_request_is_refused_and_creates_nothing(http, world):
    for body, code, param in (
        ({"expires_after": 7}, "invalid_type", "expires_after"),
        ({"expires_after": {"days": 7}}, "missing_required_parameter", "expires_after.anchor"),
        ({"expires_after": {"anchor": "last_active_at"}}, "missing_required_parameter", "expires_after.days"),
        (
            {"expires_after": {"anchor": "created_at", "days": 7}},
            "invalid_value",
            "expires_after.anchor",
        ),
        (
            {"expires_after": {"anchor": "last_active_at", "days": 0}},
            "invalid_value",
            "expires_after.days",
        ),
        (
            {"expires_after": {"anchor": "last_active_at", "days": 366}},
            "invalid_value",
            "expires_after.days",
        ),
        (
            {"expires_after": {"anchor": "last_active_at", "days": True}},
            "invalid_type",
            "expires_after.days",
        ),
        ({"name": 5}, "invalid_type", "name"),
        ({"name": "x" * 257}, "invalid_value", "name"),
        ({"file_ids": "file-1"}, "invalid_type", "file_ids"),
        ({"file_ids": [1]}, "invalid_type", "file_ids[0]"),
        ({"file_ids": ["a"] * 501}, "invalid_value", "file_ids"),
        ({"chunking_strategy": {"type": "odd"}}, "invalid_value", "chunking_strategy.type"),
        ({"metadata": {"a": []}}, "invalid_type", "metadata.a"),
    ):
        faces = ["/vector_stores", "/datasets"] if "expires_after" in body else ["/vector_stores"]
        for face in faces:
            error = envelope(http.post(face, json={"name": "Notes", **body}), 400, code)
            assert error["param"] == param
    envelope(http.post("/vector_stores", json={"file_ids": ["file-none"]}), 404, "file_not_found")
    envelope(http.post("/vector_stores", json={"file_ids": ["a\u0001"]}), 404, "file_not_found")
    assert not Dataset.objects.filter(tenant=world.tenant).exists()


def test_file_is_attached_polled_changed_and_detached(client, store, uploaded):
    file = uploaded()
    static = {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 20}
    attached = client.vector_stores.files.create(
        store.pk,
        file_id=file,
        attributes={"language": "en", "year": 2026, "draft": True},
        chunking_strategy={"type": "static", "static": static},
    )
    assert (attached.id, attached.vector_store_id, attached.status) == (file, store.pk, "in_progress")
    assert attached.attributes == {"language": "en", "year": 2026, "draft": True}
    assert attached.chunking_strategy.static.to_dict() == static
    dataset_file = DatasetFile.objects.get(dataset=store, file=file)
    assert (dataset_file.state, dataset_file.chunking) == ("uploaded", {"type": "static", "static": static})
    ended(file)
    assert client.vector_stores.files.retrieve(file, vector_store_id=store.pk).status == "completed"
    changed = client.vector_stores.files.update(file, vector_store_id=store.pk, attributes={"year": 2027})
    assert changed.attributes == {"year": 2027}
    assert client.vector_stores.files.update(file, vector_store_id=store.pk, attributes=None).attributes == {}
    assert client.vector_stores.files.delete(file, vector_store_id=store.pk).deleted
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.files.retrieve(file, vector_store_id=store.pk)
    assert client.files.retrieve(file).id == file


def test_file_uploaded_into_the_dataset_is_deleted_on_detach(client, store):
    dataset_file = factories.dataset_file(store)
    assert client.vector_stores.files.delete(dataset_file.file_id, vector_store_id=store.pk).deleted
    assert not File.objects.filter(pk=dataset_file.file_id).exists()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("unsupported_file", "unsupported_file"), ("encrypted_file", "invalid_file"), ("no_text", "invalid_file"),
        ("embedding_failed", "server_error"), ("worker_lost", "server_error"), ("", "invalid_file"),
    ],
)  # fmt: skip
def test_file_errors_have_openais_codes(client, store, code, told):
    dataset_file = factories.dataset_file(
        store, state=State.FAILED, error_code=code, error_message="It is so."
    )
    error = client.vector_stores.files.retrieve(dataset_file.file_id, vector_store_id=store.pk).last_error
    assert (error.code, error.message) == (told, "It is so.")


def test_attaching_again_updates_the_attributes(client, store, uploaded):
    file = uploaded()
    create = client.vector_stores.files.create
    create(store.pk, file_id=file, attributes={"a": 1})
    ended(file)
    assert create(store.pk, file_id=file).status == "completed"
    again = create(store.pk, file_id=file, attributes={"a": 2})
    assert (again.status, again.attributes) == ("completed", {"a": 2})
    ended(file, state=State.FAILED, error_code="no_text", error_message="There is none.")
    tried = create(store.pk, file_id=file)
    assert (tried.status, tried.last_error, tried.attributes) == ("in_progress", None, {"a": 2})
    ended(file)
    static = {"type": "static", "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 0}}
    assert create(store.pk, file_id=file, chunking_strategy=static).status == "in_progress"
    assert store.dataset_files.count() == 1


def test_only_files_that_the_key_may_read_can_be_attached(http, world, store, upstream):
    others = factories.key(world.tenant).row
    stranger = factories.world(upstream.base_url)
    mine = factories.file(world.tenant, origin=File.Origin.FILES, key=world.key.row)
    granted = factories.dataset_file(factories.dataset(world.tenant, keys=[world.key.row])).file
    hidden = [
        factories.file(world.tenant, origin=File.Origin.FILES, key=others),
        factories.dataset_file(factories.dataset(world.tenant)).file,
        factories.file(stranger.tenant, origin=File.Origin.FILES, key=stranger.key.row),
    ]
    at = f"/vector_stores/{store.pk}"
    unknown = envelope(http.post(f"{at}/files", json={"file_id": "file-none"}), 404, "file_not_found")
    for file in hidden:
        error = envelope(http.post(f"{at}/files", json={"file_id": file.pk}), 404, "file_not_found")
        assert error["message"].replace(file.pk, "X") == unknown["message"].replace("file-none", "X")
        for body in (
            {"file_ids": [mine.pk, file.pk]},
            {"files": [{"file_id": mine.pk}, {"file_id": file.pk}]},
        ):
            envelope(http.post(f"{at}/file_batches", json=body), 404, "file_not_found")
        envelope(http.post("/vector_stores", json={"file_ids": [mine.pk, file.pk]}), 404, "file_not_found")
    assert not store.dataset_files.exists()
    assert not FileBatch.objects.filter(dataset=store).exists()
    for file in (mine, granted):
        assert http.post(f"{at}/files", json={"file_id": file.pk}).status_code == 200


def test_files_are_listed_by_status_and_in_pages(client, store):
    states = (State.UPLOADED, State.PROCESSING, State.READY, State.FAILED, State.CANCELLED)
    ids = {state: factories.dataset_file(store, state=state).file_id for state in states}
    listed = client.vector_stores.files.list
    assert [file.id for file in listed(store.pk, limit=2, order="asc")] == list(ids.values())
    assert [file.id for file in listed(store.pk, limit=2)] == list(ids.values())[::-1]
    before = listed(store.pk, before=ids[State.FAILED], order="asc", limit=2)
    assert [file.id for file in before.data] == [ids[State.PROCESSING], ids[State.READY]]
    for status, expected in (
        ("in_progress", {State.UPLOADED, State.PROCESSING}), ("completed", {State.READY}),
        ("failed", {State.FAILED}), ("cancelled", {State.CANCELLED}),
    ):  # fmt: skip
        assert {file.id for file in listed(store.pk, filter=status)} == {ids[state] for state in expected}
    with pytest.raises(openai.BadRequestError) as refused:
        listed(store.pk, filter="ready")
    assert refused.value.param == "filter"


def test_batch_is_polled_and_cancelled(client, store, uploaded):
    ids = [uploaded(text) for text in ("One.", "Two.", "Three.")]
    create = client.vector_stores.file_batches.create
    batch = create(store.pk, file_ids=ids, attributes={"a": 1})
    assert (batch.status, batch.file_counts.in_progress) == ("in_progress", 3)
    assert set(store.dataset_files.values_list("file", "batch")) == {(file, batch.id) for file in ids}
    assert all(dataset_file.attributes == {"a": 1} for dataset_file in store.dataset_files.all())
    ended(ids[0])
    cancelled = client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store.pk)
    assert (cancelled.status, cancelled.file_counts.cancelled, cancelled.file_counts.completed) == (
        "cancelled", 2, 1,
    )  # fmt: skip
    assert client.vector_stores.file_batches.retrieve(batch.id, vector_store_id=store.pk) == cancelled
    listed = client.vector_stores.file_batches.list_files
    assert {file.id for file in listed(batch.id, vector_store_id=store.pk)} == set(ids)
    assert [file.id for file in listed(batch.id, vector_store_id=store.pk, filter="completed")] == [ids[0]]
    again = create(
        store.pk,
        files=[{"file_id": ids[1], "attributes": {"b": 2}}, {"file_id": ids[2]}, {"file_id": ids[0]}],
    )
    assert (again.file_counts.in_progress, again.file_counts.completed) == (2, 1)
    ended(ids[1], state=State.FAILED)
    ended(ids[2], state=State.FAILED)
    retrieve = client.vector_stores.file_batches.retrieve
    assert retrieve(again.id, vector_store_id=store.pk).status == "completed"
    ended(ids[0], state=State.FAILED)
    assert retrieve(again.id, vector_store_id=store.pk).status == "failed"
    attributes = dict(store.dataset_files.values_list("file", "attributes"))
    assert attributes == {ids[0]: {"a": 1}, ids[1]: {"b": 2}, ids[2]: {"a": 1}}


def test_concurrent_batches_of_the_same_files_are_all_created(http, world, store):
    ids = [factories.file(world.tenant, origin=File.Origin.FILES, key=world.key.row).pk for _ in range(12)]

    def create(turn: int) -> httpx.Response:
        order = ids[turn:] + ids[:turn]
        return http.post(
            f"/vector_stores/{store.pk}/file_batches", json={"file_ids": order[:: turn % 2 * -2 + 1]}
        )

    with ThreadPoolExecutor(8) as pool:
        vector_store = list(pool.map(create, range(8)))
    assert [response.status_code for response in vector_store] == [200] * 8
    assert store.dataset_files.count() == len(ids)


def test_batch_of_another_vector_store_is_404(http, store, world):
    other = factories.dataset(world.tenant, keys=[world.key.row])
    batch = FileBatch.objects.create(tenant=world.tenant, dataset=other)
    at = f"/vector_stores/{store.pk}/file_batches/{batch.pk}"
    for method, path in (("get", at), ("get", f"{at}/files"), ("post", f"{at}/cancel")):
        envelope(http.request(method, path), 404, "batch_not_found")
    batch.refresh_from_db()
    assert not batch.cancelled


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("files", {}, "file_id"), ("files", {"file_id": 1}, "file_id"),
        ("files", {"file_id": "a", "attributes": {"a": None}}, "attributes.a"),
        ("files", {"file_id": "a", "attributes": {"a": "x" * 513}}, "attributes"),
        ("files", {"file_id": "a", "attributes": {str(n): 1 for n in range(17)}}, "attributes"),
        ("files", {"file_id": "a", "chunking_strategy": {}}, "chunking_strategy.type"),
        ("files", {"file_id": "a", "chunking_strategy": {"type": "static"}}, "chunking_strategy.static"),
        ("files", {"file_id": "a", "chunking_strategy": {"type": "static", "static": {
            "max_chunk_size_tokens": 99, "chunk_overlap_tokens": 0}}},
         "chunking_strategy.static.max_chunk_size_tokens"),
        ("files", {"file_id": "a", "chunking_strategy": {"type": "static", "static": {
            "max_chunk_size_tokens": 100, "chunk_overlap_tokens": 51}}},
         "chunking_strategy.static.chunk_overlap_tokens"),
        ("files/file-none", {}, "attributes"),
        ("file_batches", {}, "file_ids"), ("file_batches", {"file_ids": []}, "file_ids"),
        ("file_batches", {"files": []}, "files"), ("file_batches", {"files": [1]}, "files[0]"),
        ("file_batches", {"files": [{}]}, "files[0].file_id"),
        ("file_batches", {"files": [{"file_id": "a", "attributes": 1}]}, "files[0].attributes"),
        ("file_batches", {"files": [{"file_id": "a"}], "file_ids": ["a"]}, "files"),
        ("file_batches", {"file_ids": ["a"] * 501}, "file_ids"),
        ("search", {}, "query"), ("search", {"query": ""}, "query"), ("search", {"query": []}, "query"),
        ("search", {"query": ["a", 1]}, "query[1]"), ("search", {"query": ["a"] * 11}, "query"),
        ("search", {"query": "x" * 10_001}, "query"), ("search", {"query": "a", "max_num_results": 51}, "max_num_results"),
        ("search", {"query": "a", "max_num_results": 0}, "max_num_results"),
        ("search", {"query": "a", "ranking_options": {"score_threshold": 2}}, "ranking_options.score_threshold"),
        ("search", {"query": "a", "filters": []}, "filters"), ("search", {"query": "a", "filters": {}}, "filters.type"),
        ("search", {"query": "a", "rewrite_query": 1}, "rewrite_query"),
    ],
)  # fmt: skip
def test_invalid_request_names_the_field(http, store, path, body, param):
    assert envelope(http.post(f"/vector_stores/{store.pk}/{path}", json=body), 400)["param"] == param
