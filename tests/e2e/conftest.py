"""A tenant shared by the tests of all routes except chat, which check the formats of requests and responses."""

import time
from collections.abc import Callable, Iterator

import httpx
import openai
import pytest

from tenants.models import UsageRecord
from tenants.usage import drain
from tests import factories
from tests.e2e.routes import CAPABILITIES

#: Seconds within which a record has to be in the database.
SOON = 20


@pytest.fixture(scope="session")
def studio(database, upstream) -> factories.World:
    """A tenant whose entry `fast` can do everything; each test scripts what its provider answers."""
    return factories.world(upstream.base_url, capabilities=CAPABILITIES)


@pytest.fixture(scope="session", params=["", "/v1"], ids=["bare", "v1"])
def base(gateway, request) -> str:
    return gateway.base_url + request.param


def _sdk(base: str, studio: factories.World, *, strict: bool) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=base,
        api_key=studio.key.plain,
        max_retries=0,
        timeout=30,
        _strict_response_validation=strict,
    )


@pytest.fixture(scope="session")
def sdk(base, studio) -> Iterator[openai.OpenAI]:
    """The official SDK, unchanged, on both base URLs; it checks every answer strictly and never retries."""
    with _sdk(base, studio, strict=True) as client:
        yield client


@pytest.fixture(scope="session")
def lenient(base, studio) -> Iterator[openai.OpenAI]:
    """The same without its own checks, for what even OpenAI's answers do not pass: base64, and open choices."""
    with _sdk(base, studio, strict=False) as client:
        yield client


@pytest.fixture(scope="session")
def studio_http(gateway, studio) -> Iterator[httpx.Client]:
    """A plain HTTP client with the tenant's key."""
    with httpx.Client(
        base_url=gateway.base_url, headers=studio.authorization, timeout=30, verify=False
    ) as client:
        yield client


@pytest.fixture
def record(django_db_blocker) -> Iterator[Callable[[str], UsageRecord]]:
    """Returns the usage record of a request id, which has to be in the ledger by now."""

    def find(request_id: str) -> UsageRecord:
        deadline = time.monotonic() + SOON
        while True:
            drain.drain()
            row = UsageRecord.objects.filter(request_id=request_id).first()
            if row is not None:
                return row
            assert time.monotonic() < deadline, f"{request_id} was not recorded"
            time.sleep(0.05)

    with django_db_blocker.unblock():
        yield find
