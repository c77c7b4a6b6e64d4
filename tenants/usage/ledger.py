"""Records of usage, made durable before a client has the whole of its answer.

What the requests of a process record at about the same time travels to Redis as one entry of a stream, and each
request goes on once Redis has it on disk. While Redis is away the records go into a file of the spool instead,
and from there into Redis when it is back. A record may arrive twice on these ways; its id makes it one row.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from django.conf import settings

from tenants.usage import spool
from tenants.usage.record import UsageEvent, pack
from tenants.usage.redis_stream import Stream, StreamAway
from tenants.usage.spool import Spool

__all__ = ["Backlog", "UsageEvent", "backlog", "record", "recording"]

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

#: Records that travel as one entry of the stream.
TOGETHER = 64
#: Seconds between two looks for files to replay; while Redis is away, between two attempts to reach it.
LOOK_SECONDS = 1.0
#: Seconds in which the disk has to take records while Redis is away.
DISK_SECONDS = 5.0
#: Records that are held in memory, at most, while neither Redis nor the disk takes them.
HELD = 50_000


@dataclass(frozen=True, slots=True)
class Backlog:
    """What has been recorded and is not in the database yet."""

    #: Whether Redis takes records.
    redis: bool
    #: Entries of the stream, each of one record or more; 0 while Redis is away.
    stream: int
    #: Files of the spool.
    files: int
    #: Records in this process's memory alone, since neither Redis nor the disk took them.
    held: int


class Recorder:
    """The ledger of one process, bound to its event loop."""

    def __init__(self, url: str, folder: Path) -> None:
        self._stream = Stream(url)
        self._spool = Spool(folder)
        # One thread: whatever touches the spool's own file comes one after the other.
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._gathered: list[tuple[bytes, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._held: list[bytes] = []
        self._away = False
        self._troubled = False
        self._loop = asyncio.get_running_loop()

    def add(self, event: UsageEvent) -> "asyncio.Future[None]":
        """Take a record; the future is done once the record is durable."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._gathered.append((pack(event), waiter))
        if self._flushing is None:
            # The task starts in the loop's next round: what comes in this round travels along.
            self._flushing = self._loop.create_task(self._flush())
        return waiter

    async def _flush(self) -> None:
        try:
            while batch := self._gathered[:TOGETHER]:
                del self._gathered[:TOGETHER]
                try:
                    await self._keep([line for line, _ in batch])
                finally:
                    for _, waiter in batch:
                        if not waiter.done():
                            waiter.set_result(None)
        finally:
            self._flushing = None

    async def _keep(self, lines: list[bytes]) -> None:
        if not self._away:
            try:
                await self._stream.add(lines)
            except StreamAway as error:
                self._trip(error)
            else:
                return
        try:
            async with asyncio.timeout(DISK_SECONDS):
                await self._on_disk(self._spool.append, lines)
        except OSError as error:
            self._hold(lines, error)

    def _hold(self, lines: list[bytes], error: OSError) -> None:
        """Keep records in memory, the last resort: the client is not kept waiting for ever."""
        room = max(0, HELD - len(self._held))
        self._held += lines[:room]
        for number, line in enumerate(lines):
            fate = "is in memory alone" if number < room else "is lost"
            # A line begins with the record's id.
            logger.error("usage record %s %s: %s", line[7:43].decode(), fate, type(error).__name__)

    async def replay(self) -> None:
        """Send to Redis what waits in memory and in files that nobody writes to. Raises StreamAway."""
        away = self._away
        if away:
            await self._stream.ping()
        while self._held:
            batch = self._held[:TOGETHER]
            await self._stream.add(batch)
            del self._held[: len(batch)]
        try:
            # What is left over comes first: a Redis that refuses it leaves our own file as it is.
            await self._replay_files()
            if self._spool.open:
                await self._on_disk(self._spool.give_up)
                await self._replay_files()
            self._troubled = False
        except OSError:
            # A broken disk must not keep records from Redis.
            if not self._troubled:
                logger.exception("the usage spool cannot be replayed")
            self._troubled = True
        # Redis may have gone away meanwhile: what was not asked for is not known.
        if away:
            self._away = False
            logger.info("usage records go to Redis again")

    async def _replay_files(self) -> None:
        for path in await self._on_disk(spool.waiting, self._spool.folder):
            if leftover := await self._on_disk(spool.claim, path):
                await self._replay_file(leftover)

    async def _replay_file(self, leftover: spool.Leftover) -> None:
        count = 0
        try:
            while lines := await self._on_disk(leftover.read, TOGETHER):
                await self._stream.add(lines)
                count += len(lines)
            await self._on_disk(leftover.delete)
        finally:
            leftover.release()
        logger.info("%d usage records of the spool are in Redis", count)

    async def keep_replaying(self) -> None:
        """Replay again and again, for as long as the process lives."""
        while True:
            try:
                await self.replay()
            except StreamAway as error:
                self._trip(error)
            except Exception:
                # Were the replay to end here, Redis would count as away for good.
                logger.exception("the replay of usage records failed")
            await asyncio.sleep(LOOK_SECONDS)

    def _trip(self, error: StreamAway) -> None:
        """Take Redis for away until the replay has reached it, so that no request waits for it in vain."""
        if not self._away:
            logger.warning("usage records go to the spool: %s", error)
        self._away = True

    async def close(self) -> None:
        """Wait until everything recorded is durable. What is recorded later still goes to the spool."""
        while self._flushing is not None:
            await asyncio.wait([self._flushing])
        self._away = True
        self._stream.close()
        if self._held:
            with suppress(OSError):
                await self._on_disk(self._spool.append, self._held)
        await self._on_disk(self._spool.give_up)

    async def backlog(self) -> Backlog:
        files: list[Path] = []
        with suppress(OSError):
            files = await self._on_disk(spool.waiting, self._spool.folder)
        try:
            length = await self._stream.length()
        except StreamAway:
            return Backlog(False, 0, len(files), len(self._held))
        return Backlog(not self._away, length, len(files), len(self._held))

    async def _on_disk(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._loop.run_in_executor(self._disk, lambda: function(*args, **kwargs))


_recorder: Recorder | None = None


def _running() -> Recorder:
    if _recorder is None:
        raise RuntimeError("Usage can be recorded only while `recording()` runs.")
    return _recorder


async def record(event: UsageEvent) -> None:
    """Return once the record is durable.

    It is taken before anything is awaited, so that a caller that is cancelled loses nothing.
    """
    await _running().add(event)


async def backlog() -> Backlog:
    """Return what waits on its way to the database."""
    return await _running().backlog()


@asynccontextmanager
async def recording() -> AsyncIterator[None]:
    """Keep the ledger of this process; one of the services of the web process."""
    global _recorder  # noqa: PLW0603 - one ledger a process, as the hot path calls it without a handle
    recorder = _recorder = Recorder(settings.REDIS_URL, settings.USAGE_SPOOL_DIR)
    replaying = asyncio.create_task(recorder.keep_replaying())
    try:
        yield
    finally:
        replaying.cancel()
        await asyncio.wait([replaying])
        await recorder.close()
