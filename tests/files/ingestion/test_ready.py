"""From an upload to a file that is ready, by a real worker."""

from files.models import Chunk, ChunkVector
from tenants.models import UsageRecord
from tests import factories
from tests.files.ingestion.helpers import ended
from tests.waiting import eventually


def test_text_file_becomes_ready(ingest, dataset):
    dataset_file = factories.upload(dataset, b"The office opens at nine.\n\nIt closes at five.")
    [dataset_file] = ended(dataset_file)
    assert (dataset_file.state, dataset_file.progress, dataset_file.error_code) == ("ready", 100, "")
    chunks = list(Chunk.objects.filter(dataset_file=dataset_file))
    assert "The office opens at nine." in chunks[0].text
    assert dataset_file.chunk_count == len(chunks)
    assert dataset_file.tokens == sum(chunk.tokens for chunk in chunks)
    assert dataset_file.characters == sum(len(chunk.text) for chunk in chunks)
    assert ChunkVector.objects.filter(chunk__in=chunks, generation=1).count() == len(chunks)
    assert dataset_file.lease is None
    eventually(
        lambda: UsageRecord.objects.filter(
            tenant_id=dataset.tenant_id, request_id=dataset_file.file_id
        ).exists()
    )


def test_dataset_without_a_model_needs_no_vectors(ingest, world):
    dataset_file = factories.upload(factories.dataset(world.tenant), b"Nothing but words.")
    [dataset_file] = ended(dataset_file)
    assert dataset_file.state == "ready"
    assert dataset_file.chunks.count() == 1
    assert not ChunkVector.objects.filter(dataset=dataset_file.dataset_id).exists()
