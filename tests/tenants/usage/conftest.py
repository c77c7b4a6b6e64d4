"""Fixtures of the ledger's tests: a dedicated Redis and spool, which no other process drains."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import redis as redis_client

from gtapi.stack.redis import Redis
from tenants.models import UsageRecord
from tenants.usage import drain
from tests import environment
from tests.tenants.usage.processes import Process
from tests.waiting import eventually

_numbers = itertools.count(1)


class Ledger:
    """The Redis and the spool that the processes of one test share."""

    def __init__(self, server: Redis, spool: Path) -> None:
        self.server = server
        self.spool = spool
        self.client = redis_client.Redis.from_url(server.url)

    @property
    def variables(self) -> dict[str, str]:
        return {"REDIS_URL": self.server.url, "USAGE_SPOOL_DIR": str(self.spool)}

    def recorder(self, **variables: str) -> Process:
        return Process("record", {**self.variables, **variables})

    def drainer(self) -> Process:
        return Process("drain", self.variables)

    def files(self) -> list[Path]:
        return list(self.spool.glob("*")) if self.spool.is_dir() else []


def stored(ids: list[str]) -> int:
    return UsageRecord.objects.filter(pk__in=ids).count()


@pytest.fixture(autouse=True)
def wait_for_lock(monkeypatch) -> None:
    """Make `store` wait for the lock, which a worker may hold after other tests' requests.

    A drain would give up, since the next one follows within a second.
    """
    store = drain.store

    def store_when_unlocked(lines: Sequence[bytes]) -> tuple[int, list[bytes]]:
        results: list[tuple[int, list[bytes]]] = []

        def try_once() -> bool:
            with suppress(drain.DrainLocked):
                results.append(store(lines))
            return bool(results)

        eventually(try_once)
        return results[0]

    monkeypatch.setattr(drain, "store", store_when_unlocked)


@pytest.fixture(scope="module")
def ledger_redis(database) -> Iterator[Redis]:
    folder = environment.ROOT / f"r{next(_numbers)}"
    folder.mkdir(mode=0o700)
    with Redis(folder / "redis", folder) as server:
        yield server


@pytest.fixture
def ledger(ledger_redis, tmp_path, settings) -> Iterator[Ledger]:
    """A ledger that this process can drain with `drain.drain()`."""
    if not ledger_redis.is_running():
        ledger_redis.start()
        ledger_redis.wait_ready()
    test_ledger = Ledger(ledger_redis, tmp_path / "spool")
    settings.REDIS_URL = ledger_redis.url
    settings.USAGE_SPOOL_DIR = test_ledger.spool
    test_ledger.client.flushall()
    yield test_ledger
    test_ledger.client.close()
