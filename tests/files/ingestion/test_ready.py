"""From an upload to a file that is ready, by a real worker."""

from files.models import Chunk, ChunkVector
from tenants.models import UsageRecord
from tests import factories
from tests.files.ingestion.helpers import ended
from tests.waiting import eventually


def test_text_file_becomes_ready(ingest, dataset):
    place = factories.upload(dataset, b"The office opens at nine.\n\nIt closes at five.")
    [place] = ended(place)
    assert (place.state, place.progress, place.error_code) == ("ready", 100, "")
    chunks = list(Chunk.objects.filter(place=place))
    assert "The office opens at nine." in chunks[0].text
    assert place.chunk_count == len(chunks)
    assert place.tokens == sum(chunk.tokens for chunk in chunks)
    assert place.characters == sum(len(chunk.text) for chunk in chunks)
    assert ChunkVector.objects.filter(chunk__in=chunks, generation=1).count() == len(chunks)
    assert place.lease is None
    eventually(
        lambda: UsageRecord.objects.filter(tenant_id=dataset.tenant_id, request_id=place.file_id).exists()
    )


def test_dataset_without_a_model_needs_no_vectors(ingest, world):
    place = factories.upload(factories.dataset(world.tenant), b"Nothing but words.")
    [place] = ended(place)
    assert place.state == "ready"
    assert place.chunks.count() == 1
    assert not ChunkVector.objects.filter(dataset=place.dataset_id).exists()
