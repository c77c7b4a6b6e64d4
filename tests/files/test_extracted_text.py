"""The text of a file in a vector store: one response, read from the database in batches."""

import httpx
import pytest

from files import extracted_text
from files.extracted_text import ExtractedText
from files.models import Chunk, Dataset
from gtapi.errors import Conflict
from tests import factories
from tests.admin.conftest import queries
from tests.wire import PLAIN


@pytest.fixture
def store(world) -> Dataset:
    return factories.dataset(world.tenant, keys=[world.key.row])


def filled(store: Dataset, texts: list[str]):
    dataset_file = factories.dataset_file(store, chunk_count=len(texts))
    Chunk.objects.bulk_create(
        Chunk(tenant=store.tenant, dataset=store, dataset_file=dataset_file, position=at, text=text, tokens=1)
        for at, text in enumerate(texts)
    )
    return dataset_file


@pytest.mark.parametrize("number", [0, 1, extracted_text.BATCH, 2 * extracted_text.BATCH + 1])
def test_sdk_gets_all_chunks_in_one_response(client, store, number):
    texts = [f'Piece {at}: "ä\n\U0001f600".' for at in range(number)]
    dataset_file = filled(store, texts)
    factories.chunk(factories.dataset_file(store), "Another file's.")
    page = client.vector_stores.files.content(dataset_file.file_id, vector_store_id=store.pk)
    assert [(part.type, part.text) for part in page.data] == [("text", text) for text in texts]
    assert not page.has_next_page()
    assert (page.object, page.has_more, page.next_page) == (
        "vector_store.file_content.page", False, None,
    )  # fmt: skip


def test_each_batch_is_one_query(store):
    read = ExtractedText(filled(store, ["x"] * (2 * extracted_text.BATCH + 1)))
    with queries() as asked:
        assert [len(read.batch()) for _ in range(4)] == [extracted_text.BATCH, extracted_text.BATCH, 1, 0]
    assert len(asked) == 3


@pytest.mark.parametrize("again", [False, True], ids=["deleted", "processed-again"])
def test_chunks_of_two_versions_are_never_mixed(store, again):
    dataset_file = filled(store, ["old"] * (extracted_text.BATCH + 1))
    read = ExtractedText(dataset_file)
    assert len(read.batch()) == extracted_text.BATCH
    dataset_file.chunks.all().delete()
    if again:
        for _ in range(extracted_text.BATCH + 5):
            factories.chunk(dataset_file, "new")
    with pytest.raises(Conflict):
        read.batch()


def test_response_is_aborted_if_its_file_is_deleted_meanwhile(gateway, world, store):
    # More than sockets between here and there hold.
    dataset_file = filled(store, ["\U0001f600" * 5_000] * 1_000)
    address = f"{gateway.base_url}/vector_stores/{store.pk}/files/{dataset_file.file_id}/content"
    with PLAIN.stream("GET", address, headers=world.authorization) as response:
        parts = response.iter_raw()
        assert next(parts).startswith(b'{"object":"vector_store.file_content.page","data":[{')
        dataset_file.file.delete()
        with pytest.raises(httpx.RemoteProtocolError):
            for _ in parts:
                pass
