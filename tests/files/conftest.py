import pytest

from files.models import Dataset, DatasetFile
from tests import factories
from tests.files import embedding


@pytest.fixture
def own_embedder(settings):
    """Vectors made in the test's own process; see `tests.files.embedding`."""
    settings.FILES_EMBEDDER = "tests.files.embedding.embed"
    settings.FILES_SCALE = "tests.files.embedding.scale"
    embedding.CALLS.clear()
    return embedding


@pytest.fixture
def shelf():
    """Puts a ready file with a chunk for each text into a dataset."""

    def put(into: Dataset, *texts: str, **fields) -> DatasetFile:
        place = factories.place(into, chunk_count=len(texts), **fields)
        dimensions = 16 if into.embedding.startswith("wide") else 8
        for text in texts:
            vector = embedding.vector(text, dimensions) if into.embedding else None
            factories.chunk(place, text, vector=vector)
        return place

    return put
