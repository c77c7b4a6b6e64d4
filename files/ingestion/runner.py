"""One run of a worker process: processes the files of a queue until none is left, for some minutes at most.

A process extracts one document at a time, since that takes a core and memory, and claims the next file only when it
can start on it. Waiting for models takes neither, so files are embedded, and one dataset is reindexed, at the same
time. Files that need OCR have a separate queue, so that the minutes that OCR takes delay no other file.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from time import monotonic
from typing import Any

from django.conf import settings
from django.db import connections
from django.utils.module_loading import import_string

from files.ingestion import claims, local_copy, pipeline, reindex, vector_generations
from files.ingestion.claims import Claim
from files.ingestion.heartbeat import Heartbeat
from files.ingestion.shutdown import when_stopping
from files.ingestion.vector_generations import IndexLease
from files.ingestion.wakeup import INGEST_QUEUE, OCR_QUEUE, wake
from gtapi.database import DATABASE_UNAVAILABLE, in_thread

logger = logging.getLogger(__name__)

#: Files that a process works on at the same time, and of those the ones of one tenant.
MAX_FILES = 4
MAX_FILES_OF_TENANT = 3
#: Seconds after which a run claims nothing more; the next message starts another run.
RUN_SECONDS = 300.0
#: Seconds between two attempts to claim a file while others are processed, and to claim a dataset to reindex.
CLAIM_SECONDS = 0.5
INDEX_CLAIM_SECONDS = 2.0


def run(*, ocr: bool = False) -> None:
    """Process what is due; returns when nothing is left, or when the worker is to stop.

    With ``ocr`` it processes the files that need OCR; otherwise all others, and datasets to reindex.

    Raises:
        DATABASE_UNAVAILABLE: one of these.
    """
    try:
        claim = claims.claim(ocr=ocr)
        index_lease = None if ocr else vector_generations.claim()
    finally:
        connections.close_all()
    if claim is not None:
        # There may be more files, for other processes.
        wake(OCR_QUEUE if ocr else INGEST_QUEUE)
    if claim is not None or index_lease is not None:
        asyncio.run(_run(claim, index_lease, ocr=ocr))


async def _run(claim: Claim | None, index_lease: IndexLease | None, *, ocr: bool) -> None:
    async with AsyncExitStack() as services:
        for path in settings.INGEST_SERVICES:
            await services.enter_async_context(import_string(path)())
        runner = _Runner(ocr=ocr)
        services.callback(when_stopping(runner.stop))
        with runner.file_heartbeat, runner.index_heartbeat:
            runner.start(claim, index_lease)
            await asyncio.to_thread(local_copy.sweep)
            await runner.work()


class _Runner:
    def __init__(self, *, ocr: bool) -> None:
        self._ocr = ocr
        self._tasks: dict[Claim | IndexLease, asyncio.Task[bool | None]] = {}
        self._extracting: Claim | None = None
        self._changed = asyncio.Event()
        self._stopping = False
        self._end = monotonic() + RUN_SECONDS
        self._next_index_claim = monotonic() + INDEX_CLAIM_SECONDS
        self._loop = asyncio.get_running_loop()
        self.file_heartbeat = Heartbeat(claims.extend, self._on_lost)
        self.index_heartbeat = Heartbeat(vector_generations.extend, self._on_lost)

    async def work(self) -> None:
        """Claim and process until nothing is left."""
        while True:
            claim, index_lease = await self._claim()
            self.start(claim, index_lease)
            if not self._tasks:
                return
            if claim is None:
                await self._wait_for_change()

    async def _claim(self) -> tuple[Claim | None, IndexLease | None]:
        if self._is_over():
            return None, None
        claim = index_lease = None
        try:
            if self._extracting is None and len(self._claims()) < MAX_FILES:
                claim = await in_thread(claims.claim, self._tenants_at_limit(), ocr=self._ocr)
            if not self._ocr and not self._is_indexing() and monotonic() >= self._next_index_claim:
                self._next_index_claim = monotonic() + INDEX_CLAIM_SECONDS
                index_lease = await in_thread(vector_generations.claim)
        except DATABASE_UNAVAILABLE as error:
            logger.warning("No file can be claimed: %s.", type(error).__name__)
        if self._is_over():
            # The worker is to stop. A task that is cancelled before its first step could not release its lease.
            if claim is not None:
                await in_thread(claims.release, claim)
            if index_lease is not None:
                await in_thread(vector_generations.release, index_lease, complete=False)
            return None, None
        return claim, index_lease

    def _is_over(self) -> bool:
        return self._stopping or monotonic() > self._end

    async def _wait_for_change(self) -> None:
        """Wait until a task ends or an extraction does, or until it is time for another claim."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLAIM_SECONDS):
                await self._changed.wait()

    def _claims(self) -> list[Claim]:
        return [lease for lease in self._tasks if isinstance(lease, Claim)]

    def _is_indexing(self) -> bool:
        return len(self._tasks) > len(self._claims())

    def _tenants_at_limit(self) -> list[int]:
        """Return the tenants that already have as many files in this process as one may have."""
        counts = Counter(claim.tenant_id for claim in self._claims())
        return [tenant_id for tenant_id, files in counts.items() if files >= MAX_FILES_OF_TENANT]

    def start(self, claim: Claim | None, index_lease: IndexLease | None) -> None:
        """Start to process a file and to reindex a dataset, if there are any."""
        if claim is not None:
            self._extracting = claim
            self._start(
                claim, self.file_heartbeat, pipeline.process(claim, lambda: self._extraction_ended(claim))
            )
        if index_lease is not None:
            self._start(index_lease, self.index_heartbeat, reindex.reindex(index_lease, self._end))

    def _start(
        self, lease: Any, heartbeat: Heartbeat[Any], coroutine: Coroutine[Any, Any, bool | None]
    ) -> None:
        def on_done(task: asyncio.Task[bool | None]) -> None:
            heartbeat.remove(lease)
            self._tasks.pop(lease, None)
            if isinstance(lease, IndexLease) and not task.cancelled() and task.result():
                # There may be more at once: a tenant that changes its model has the datasets of its conversations.
                self._next_index_claim = monotonic()
            self._extraction_ended(lease)

        heartbeat.add(lease)
        self._tasks[lease] = self._loop.create_task(coroutine)
        self._tasks[lease].add_done_callback(on_done)

    def _extraction_ended(self, lease: Claim | IndexLease) -> None:
        if self._extracting == lease:
            self._extracting = None
        self._changed.set()

    def _on_lost(self, lease: Claim | IndexLease) -> None:
        """Called in a heartbeat's thread."""
        self._loop.call_soon_threadsafe(self._cancel, lease)

    def _cancel(self, lease: Claim | IndexLease) -> None:
        if task := self._tasks.get(lease):
            task.cancel()

    def stop(self) -> None:
        """Release everything, and claim nothing more."""
        logger.info("The worker stops and releases %d files and datasets.", len(self._tasks))
        self._stopping = True
        for task in self._tasks.values():
            task.cancel()
        self._changed.set()
