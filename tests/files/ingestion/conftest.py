"""Fixtures of the tests of ingestion: a tenant with a model that embeds, and a dataset that uses it."""

import pytest

from tests import factories
from tests.files.ingestion.helpers import Gate, embeddings


@pytest.fixture
def gate(embedder, upstream):
    """The model of the test's dataset, held: a file stays in the middle of its work until it is opened."""
    made = Gate()
    upstream.script(embedder.model, made)
    yield made
    made.open()


@pytest.fixture
def embedder(world, upstream):
    """A catalog entry that embeds, in the test's own tenant."""
    entry = factories.catalog(world.provider, "embedder", capabilities=["embed"])
    upstream.script(entry.model, embeddings())
    return entry


@pytest.fixture
def dataset(world, embedder):
    """A dataset that is searched by meaning."""
    return factories.dataset(world.tenant, embedding="embedder")
