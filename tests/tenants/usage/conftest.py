"""A Redis and a spool of the test's own, so that nothing else drains what it records."""

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
    """What the processes of one test share."""

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
def patient(monkeypatch) -> None:
    """This process waits for whoever stores at the moment: a worker does, after other tests' requests.

    By itself a drain leaves it at that, and comes again in a second.
    """
    store = drain.store

    def stored(lines: Sequence[bytes]) -> tuple[int, list[bytes]]:
        done: list[tuple[int, list[bytes]]] = []

        def once() -> bool:
            with suppress(drain.Busy):
                done.append(store(lines))
            return bool(done)

        eventually(once)
        return done[0]

    monkeypatch.setattr(drain, "store", stored)


@pytest.fixture(scope="module")
def own_redis(database) -> Iterator[Redis]:
    folder = environment.ROOT / f"r{next(_numbers)}"
    folder.mkdir(mode=0o700)
    with Redis(folder / "redis", folder) as server:
        yield server


@pytest.fixture
def ledger(own_redis, tmp_path, settings) -> Iterator[Ledger]:
    """A ledger whose drain this process can run: `drain.drain()`."""
    if not own_redis.is_running():
        own_redis.start()
        own_redis.wait_ready()
    made = Ledger(own_redis, tmp_path / "spool")
    settings.REDIS_URL = own_redis.url
    settings.USAGE_SPOOL_DIR = made.spool
    made.client.flushall()
    yield made
    made.client.close()
