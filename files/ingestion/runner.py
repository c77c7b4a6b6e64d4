"""One run of a worker's process: it works until nothing is left to claim, for some minutes at most.

Reading a document takes a core and memory, so a process reads one at a time, and claims the next one only when it
can begin with it. One whose letters have to be recognised takes minutes, so the next ones are read beside it; of
such files it has one at a time, and gives back a further one for whoever has room. Waiting for models takes neither
core nor memory: files are embedded meanwhile, and a dataset gets another index beside them.
"""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from time import monotonic
from typing import Any

from django.conf import settings
from django.db import connections
from django.utils.module_loading import import_string

from files.ingestion import claims, local_copy, pipeline, reindex, vector_generations
from files.ingestion.claims import AWAY, Claim
from files.ingestion.heartbeat import Heartbeat
from files.ingestion.shutdown import when_stopping
from files.ingestion.vector_generations import IndexLease
from files.ingestion.wakeup import wake
from gtapi.database import in_thread

logger = logging.getLogger(__name__)

#: Files that a process has in its hands, and those of them that may be of one tenant.
AT_ONCE = 4
OF_ONE_TENANT = 3
#: Seconds after which a run begins with nothing more, but for what is read beside the letters that are recognised
#: then; the next message makes another one.
RUN_SECONDS = 300.0
#: Seconds between two looks for files while others are still in work, and for datasets to index where the last look
#: was for none, or in vain.
LOOK_SECONDS = 0.5
INDEX_SECONDS = 2.0


def run() -> None:
    """Work on what there is; returns when nothing is left, or when the worker is to stop.

    Raises what the database raises where it is away.
    """
    try:
        claim = claims.claim()
        index = vector_generations.claim()
    finally:
        connections.close_all()
    if claim is not None:
        # Where there is one file there may be more, for others too.
        wake()
    if claim is not None or index is not None:
        asyncio.run(_work_from(claim, index))


async def _work_from(claim: Claim | None, index: IndexLease | None) -> None:
    async with AsyncExitStack() as services:
        for path in settings.INGEST_SERVICES:
            await services.enter_async_context(import_string(path)())
        run = _Run()
        services.callback(when_stopping(run.stop))
        with run.files, run.indexes:
            run.begin(claim, index)
            await asyncio.to_thread(local_copy.sweep)
            await run.work()


class _Run:
    def __init__(self) -> None:
        self._tasks: dict[Claim | IndexLease, asyncio.Task[bool | None]] = {}
        self._reading: set[Claim] = set()
        self._recognising: Claim | None = None
        self._ocr_first = True
        self._lane = threading.Lock()
        self._changed = asyncio.Event()
        self._stopping = False
        self._until = monotonic() + RUN_SECONDS
        self._next_index = monotonic() + INDEX_SECONDS
        self._loop = asyncio.get_running_loop()
        self.files = Heartbeat(claims.alive, self._lost)
        self.indexes = Heartbeat(vector_generations.alive, self._lost)

    async def work(self) -> None:
        """Begin with whatever there is, until there is nothing left in work."""
        while True:
            claim, index = await self._found()
            self.begin(claim, index)
            if not self._tasks:
                return
            if claim is None:
                await self._change()

    async def _found(self) -> tuple[Claim | None, IndexLease | None]:
        if self._over():
            return None, None
        claim = index = None
        try:
            if not self._reading and len(self._claims()) < AT_ONCE:
                claim = await in_thread(claims.claim, self._crowding(), lanes=self._lanes())
            if not self._indexing() and self._until >= monotonic() >= self._next_index:
                self._next_index = monotonic() + INDEX_SECONDS
                index = await in_thread(vector_generations.claim)
        except AWAY as error:
            logger.warning("nothing can be claimed: %s", type(error).__name__)
        if self._over():
            # The worker is to stop: a task that is cancelled before its first step could give nothing back.
            if claim is not None:
                await in_thread(claims.release, claim)
            if index is not None:
                await in_thread(vector_generations.release, index, whole=False)
            return None, None
        return claim, index

    def _over(self) -> bool:
        return self._stopping or (monotonic() > self._until and self._recognising is None)

    async def _change(self) -> None:
        """Wait until something has come to its end; with room for more, until it is time to look again."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._changed.wait()

    def _claims(self) -> list[Claim]:
        return [held for held in self._tasks if isinstance(held, Claim)]

    def _indexing(self) -> bool:
        return len(self._tasks) > len(self._claims())

    def _crowding(self) -> list[int]:
        """Tenants that have as much of this process as one may have."""
        held = Counter(claim.tenant_id for claim in self._claims())
        return [tenant for tenant, files in held.items() if files >= OF_ONE_TENANT]

    def _lanes(self) -> Sequence[bool]:
        """Where to look for a file: by turns, since letters that are recognised at once never leave the place."""
        if self._recognising is not None:
            return claims.NO_OCR
        return claims.OCR_FIRST if self._ocr_first else claims.OCR_LAST

    def begin(self, claim: Claim | None, index: IndexLease | None) -> None:
        """Begin with a file and with a dataset, where there are such."""
        if claim is not None:
            self._reading.add(claim)
            self._ocr_first = not claim.needs_ocr
            doing = pipeline.process(claim, lambda: self._has_read(claim), lambda: self._may_recognise(claim))
            self._begin(claim, self.files, doing)
        if index is not None:
            self._begin(index, self.indexes, reindex.index(index, self._until))

    def _begin(self, held: Any, heartbeat: Heartbeat[Any], doing: Coroutine[Any, Any, bool | None]) -> None:
        def end(task: asyncio.Task[bool | None]) -> None:
            heartbeat.drop(held)
            self._tasks.pop(held, None)
            if isinstance(held, IndexLease) and not task.cancelled() and task.result():
                # Where there was one there may be more: a tenant that changes its model has all its conversations.
                self._next_index = monotonic()
            self._has_read(held)

        heartbeat.hold(held)
        self._tasks[held] = self._loop.create_task(doing)
        self._tasks[held].add_done_callback(end)

    def _has_read(self, held: Any) -> None:
        with self._lane:
            if self._recognising == held:
                self._recognising = None
        self._read_beside(held)

    def _may_recognise(self, claim: Claim) -> bool:
        """Take the room for letters, called by the thread that reads; the next file is read beside it."""
        with self._lane:
            if self._recognising is None and claim in self._tasks and monotonic() <= self._until:
                self._recognising = claim
                self._loop.call_soon_threadsafe(self._read_beside, claim)
            return self._recognising == claim

    def _read_beside(self, held: Any) -> None:
        self._reading.discard(held)
        self._changed.set()

    def _lost(self, held: Claim | IndexLease) -> None:
        """Called by a heartbeat's thread."""
        self._loop.call_soon_threadsafe(self._cancel, held)

    def _cancel(self, held: Claim | IndexLease) -> None:
        if task := self._tasks.get(held):
            task.cancel()

    def stop(self) -> None:
        """Give back what is in work, and begin with nothing more."""
        logger.info("the worker stops: %d files and datasets are given back", len(self._tasks))
        self._stopping = True
        for task in self._tasks.values():
            task.cancel()
        self._changed.set()
