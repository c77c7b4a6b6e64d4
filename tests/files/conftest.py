import pytest

from files.models import Dataset, DatasetFile
from tests import factories
from tests.files import fake_embedder


@pytest.fixture
def own_embedder(settings):
    """Vectors made in the test's own process; see `tests.files.fake_embedder`."""
    settings.FILES_EMBEDDER = "tests.files.fake_embedder.embed"
    settings.FILES_SCALE = "tests.files.fake_embedder.scale"
    fake_embedder.CALLS.clear()
    return fake_embedder


@pytest.fixture
def shelf():
    """Puts a ready file with a chunk for each text into a dataset."""

    def put(into: Dataset, *texts: str, **fields) -> DatasetFile:
        dataset_file = factories.dataset_file(into, chunk_count=len(texts), **fields)
        dimensions = 16 if into.embedding.startswith("wide") else 8
        for text in texts:
            vector = fake_embedder.vector(text, dimensions) if into.embedding else None
            factories.chunk(dataset_file, text, vector=vector)
        return dataset_file

    return put
