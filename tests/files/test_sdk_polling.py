"""The polling helpers of the official SDK, against a gateway with a worker."""

import pytest

from files.models import Dataset
from tests import factories

pytestmark = pytest.mark.usefixtures("ingest")
OFTEN = {"poll_interval_ms": 200}


@pytest.fixture
def store(world) -> Dataset:
    return factories.dataset(world.tenant, keys=[world.key.row])


def notes(text: str) -> tuple[str, bytes]:
    return (f"{text.split(maxsplit=1)[0].lower()}.txt", text.encode())


def found(client, store: Dataset, query: str) -> list[str]:
    return [result.filename for result in client.vector_stores.search(store.pk, query=query)]


def test_file_is_attached_or_uploaded_and_polled(client, store):
    file = client.files.create(file=notes("Lanterns hang in the hall."), purpose="assistants")
    attached = client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.pk, **OFTEN)
    assert (attached.id, attached.status, attached.last_error) == (file.id, "completed", None)
    uploaded = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.pk, file=notes("Kettles stand in the kitchen."), **OFTEN
    )
    assert uploaded.status == "completed"
    assert found(client, store, "Where do lanterns hang?") == ["lanterns.txt"]
    assert found(client, store, "Where is the kettle?") == ["kettles.txt"]
    assert client.files.retrieve(uploaded.id).status == "processed"
    content = client.vector_stores.files.content(uploaded.id, vector_store_id=store.pk)
    assert [part.text for part in content] == ["Kettles stand in the kitchen."]
    client.vector_stores.files.delete(uploaded.id, vector_store_id=store.pk)
    assert found(client, store, "Where is the kettle?") == []


def test_batches_are_attached_or_uploaded_and_polled(client, store):
    ids = [
        client.files.create(file=notes(text), purpose="assistants").id
        for text in ("Lanterns hang in the hall.", "Kettles stand in the kitchen.")
    ]
    batch = client.vector_stores.file_batches.create_and_poll(store.pk, file_ids=ids, **OFTEN)
    assert (batch.status, batch.file_counts.completed, batch.file_counts.total) == ("completed", 2, 2)
    more = client.vector_stores.file_batches.upload_and_poll(
        store.pk,
        files=[notes("Ropes lie in the shed."), ("paint.bin", b"\x00\x01\x02\x03" * 64)],
        file_ids=ids[:1],
        **OFTEN,
    )
    assert (more.status, more.file_counts.completed, more.file_counts.failed) == ("completed", 2, 1)
    (failed,) = client.vector_stores.files.list(store.pk, filter="failed")
    assert failed.last_error.code == "unsupported_file"
    assert found(client, store, "Where are the ropes?") == ["ropes.txt"]
    assert client.vector_stores.retrieve(store.pk).file_counts.to_dict() == {
        "in_progress": 0, "completed": 3, "failed": 1, "cancelled": 0, "total": 4,
    }  # fmt: skip


def test_new_chunking_strategy_changes_the_search_results(client, store):
    words = " ".join(f"Sentence {number} tells of lanterns." for number in range(60))
    uploaded = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.pk, file=notes(words), **OFTEN
    )

    def pieces() -> int:
        return len(client.vector_stores.files.content(uploaded.id, vector_store_id=store.pk).data)

    before = pieces()
    static = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
    again = client.vector_stores.files.create_and_poll(
        uploaded.id, vector_store_id=store.pk, chunking_strategy=static, **OFTEN
    )
    assert again.status == "completed"
    assert pieces() > before
