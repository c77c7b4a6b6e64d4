import pytest

from tests import factories
from tests.inference.commands import Configuration


@pytest.fixture
def configuration(tmp_path) -> Configuration:
    return Configuration(tmp_path)


@pytest.fixture
def slug() -> str:
    """The slug of a tenant that no other test names."""
    return factories.unique("acme")
