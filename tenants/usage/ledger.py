"""The ledger: makes each usage event durable before its response is complete.

Events that a process records at about the same time are sent to Redis as one stream entry, and each request
continues once Redis has written it to disk. While Redis is unavailable, events are written to a spool file and
replayed into Redis later. An event may be delivered twice; its id is the primary key, so it is stored once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from django.conf import settings

from tenants.usage import spool
from tenants.usage.record import UsageEvent, pack
from tenants.usage.redis_stream import RedisUnavailable, UsageStream
from tenants.usage.spool import Spool, SpoolFile

__all__ = ["UsageEvent", "record", "recording"]

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

#: Maximum events in one stream entry.
BATCH_SIZE = 64
#: Seconds between two replays of spool files, and between two attempts to reach an unavailable Redis.
REPLAY_SECONDS = 1.0
#: Timeout in seconds for writing to the spool.
DISK_SECONDS = 5.0
#: Maximum events held in memory while neither Redis nor the disk accepts them.
MAX_IN_MEMORY = 50_000


class Recorder:
    """The ledger of one process, bound to its event loop."""

    def __init__(self, url: str, folder: Path) -> None:
        self._stream = UsageStream(url)
        self._spool = Spool(folder)
        # A single thread serializes access to this process's spool file.
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._pending: list[tuple[bytes, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._in_memory: list[bytes] = []
        self._redis_unavailable = False
        self._replay_failed = False
        self._loop = asyncio.get_running_loop()

    def add(self, event: UsageEvent) -> "asyncio.Future[None]":
        """Accept an event; the future is done once the event is durable."""
        durable: asyncio.Future[None] = self._loop.create_future()
        self._pending.append((pack(event), durable))
        if self._flushing is None:
            # The task starts in the next iteration of the loop: events of this iteration share one batch.
            self._flushing = self._loop.create_task(self._flush())
        return durable

    async def _flush(self) -> None:
        try:
            while batch := self._pending[:BATCH_SIZE]:
                del self._pending[:BATCH_SIZE]
                try:
                    await self._store([line for line, _ in batch])
                finally:
                    for _, durable in batch:
                        if not durable.done():
                            durable.set_result(None)
        finally:
            self._flushing = None

    async def _store(self, lines: list[bytes]) -> None:
        if not self._redis_unavailable:
            try:
                await self._stream.add(lines)
            except RedisUnavailable as error:
                self._open_circuit(error)
            else:
                return
        try:
            async with asyncio.timeout(DISK_SECONDS):
                await self._on_disk(self._spool.append, lines)
        except OSError as error:
            self._store_in_memory(lines, error)

    def _store_in_memory(self, lines: list[bytes], error: OSError) -> None:
        """Hold events in memory as a last resort, so that clients do not wait for the disk."""
        room = max(0, MAX_IN_MEMORY - len(self._in_memory))
        self._in_memory += lines[:room]
        for number, line in enumerate(lines):
            outcome = "is held in memory only" if number < room else "is lost"
            # A line begins with the event's id.
            logger.error("usage event %s %s: %s", line[7:43].decode(), outcome, type(error).__name__)

    async def replay(self) -> None:
        """Send events from memory and from spool files without a writer to Redis. Raises RedisUnavailable."""
        was_unavailable = self._redis_unavailable
        if was_unavailable:
            await self._stream.ping()
        while self._in_memory:
            batch = self._in_memory[:BATCH_SIZE]
            await self._stream.add(batch)
            del self._in_memory[: len(batch)]
        try:
            # Other processes' files come first: if Redis refuses them, our own file stays open.
            await self._replay_files()
            if self._spool.open:
                await self._on_disk(self._spool.close_file)
                await self._replay_files()
            self._replay_failed = False
        except OSError:
            # A broken disk must not keep events from Redis.
            if not self._replay_failed:
                logger.exception("The usage spool cannot be replayed.")
            self._replay_failed = True
        # Only if it was unavailable when this replay began: it may have failed again in the meantime.
        if was_unavailable:
            self._redis_unavailable = False
            logger.info("Redis is available again: usage events go to the stream.")

    async def _replay_files(self) -> None:
        for path in await self._on_disk(spool.list_files, self._spool.folder):
            if spool_file := await self._on_disk(spool.claim, path):
                await self._replay_file(spool_file)

    async def _replay_file(self, spool_file: SpoolFile) -> None:
        count = 0
        try:
            while lines := await self._on_disk(spool_file.read, BATCH_SIZE):
                await self._stream.add(lines)
                count += len(lines)
            await self._on_disk(spool_file.delete)
        finally:
            spool_file.release()
        logger.info("Replayed %d usage events from the spool.", count)

    async def replay_forever(self) -> None:
        """Replay every ``REPLAY_SECONDS`` until cancelled."""
        while True:
            try:
                await self.replay()
            except RedisUnavailable as error:
                self._open_circuit(error)
            except Exception:
                # Without the replay, Redis would never count as available again.
                logger.exception("The replay of usage events failed.")
            await asyncio.sleep(REPLAY_SECONDS)

    def _open_circuit(self, error: RedisUnavailable) -> None:
        """Write events to the spool until a replay reaches Redis, so that requests do not wait for a timeout."""
        if not self._redis_unavailable:
            logger.warning("Usage events go to the spool: %s", error)
        self._redis_unavailable = True

    async def close(self) -> None:
        """Wait until all recorded events are durable. Events recorded later go to the spool."""
        while self._flushing is not None:
            await asyncio.wait([self._flushing])
        self._redis_unavailable = True
        self._stream.close()
        if self._in_memory:
            with suppress(OSError):
                await self._on_disk(self._spool.append, self._in_memory)
        await self._on_disk(self._spool.close_file)

    async def _on_disk(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._loop.run_in_executor(self._disk, lambda: function(*args, **kwargs))


_recorder: Recorder | None = None


async def record(event: UsageEvent) -> None:
    """Return once the event is durable.

    The event is accepted before the first await, so cancelling the caller does not lose it.
    """
    if _recorder is None:
        raise RuntimeError("Usage events can be recorded only inside `recording()`.")
    await _recorder.add(event)


@asynccontextmanager
async def recording() -> AsyncIterator[None]:
    """Run the ledger of this process; one of the services of the web process."""
    global _recorder  # noqa: PLW0603 - one ledger per process, called on the hot path without a handle
    recorder = _recorder = Recorder(settings.REDIS_URL, settings.USAGE_SPOOL_DIR)
    replaying = asyncio.create_task(recorder.replay_forever())
    try:
        yield
    finally:
        replaying.cancel()
        await asyncio.wait([replaying])
        await recorder.close()
