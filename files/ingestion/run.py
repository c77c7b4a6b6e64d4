"""One run of a worker's process: it works until nothing is left to claim, for some minutes at most.

Reading a document takes a core and memory, so a process reads one at a time, and claims the next one only when it
can begin with it. Waiting for models takes neither: the files before it are embedded meanwhile.
"""

import asyncio
import logging
from collections import Counter
from contextlib import AsyncExitStack, suppress
from time import monotonic

from django.conf import settings
from django.db import connections
from django.utils.module_loading import import_string

from files.ingestion import claims, scratch, work
from files.ingestion.claims import Claim
from files.ingestion.heartbeat import Heartbeat
from files.ingestion.stopping import when_stopping
from files.ingestion.waking import wake
from gtapi.database import in_thread

logger = logging.getLogger(__name__)

#: Files that a process has in its hands, and those of them that may be of one tenant.
AT_ONCE = 4
OF_ONE_TENANT = 3
#: Seconds after which a run claims nothing more; the next message begins another one.
RUN_SECONDS = 300.0
#: Seconds between two looks for work while other files are still in work.
LOOK_SECONDS = 0.5


def run() -> None:
    """Work on what there is; returns when nothing is left, or when the worker is to stop.

    Raises what the database raises where it is away.
    """
    try:
        first = claims.claim()
    finally:
        connections.close_all()
    if first is not None:
        # Where there is one there may be more, for others too.
        wake()
        asyncio.run(_work_from(first))


async def _work_from(first: Claim) -> None:
    await _Run().run(first)


class _Run:
    def __init__(self) -> None:
        self._tasks: dict[Claim, asyncio.Task[None]] = {}
        self._reading: set[Claim] = set()
        self._changed = asyncio.Event()
        self._stopping = False
        self._until = monotonic() + RUN_SECONDS
        self._loop = asyncio.get_running_loop()

    async def run(self, first: Claim) -> None:
        async with AsyncExitStack() as services:
            for path in settings.INGEST_SERVICES:
                await services.enter_async_context(import_string(path)())
            services.callback(when_stopping(self._stop))
            with Heartbeat(self._lost) as heartbeat:
                self._begin(first, heartbeat)
                await asyncio.to_thread(scratch.sweep)
                await self._work(heartbeat)

    async def _work(self, heartbeat: Heartbeat) -> None:
        while True:
            if self._may_begin():
                claim = await in_thread(claims.claim, self._crowding())
                if claim is not None:
                    self._begin(claim, heartbeat)
                    continue
            if not self._tasks:
                return
            await self._change()

    def _may_begin(self) -> bool:
        over = self._stopping or monotonic() > self._until
        return not over and not self._reading and len(self._tasks) < AT_ONCE

    async def _change(self) -> None:
        """Wait until there is room for another file; with room, until it is time to look again."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._changed.wait()

    def _crowding(self) -> list[int]:
        """Tenants that have as much of this process as one may have."""
        held = Counter(claim.tenant_id for claim in self._tasks)
        return [tenant for tenant, files in held.items() if files >= OF_ONE_TENANT]

    def _begin(self, claim: Claim, heartbeat: Heartbeat) -> None:
        def read() -> None:
            self._reading.discard(claim)
            self._changed.set()

        def end(_: asyncio.Task[None]) -> None:
            heartbeat.drop(claim)
            self._tasks.pop(claim, None)
            read()

        heartbeat.hold(claim)
        self._reading.add(claim)
        task = self._loop.create_task(work.process(claim, read))
        self._tasks[claim] = task
        task.add_done_callback(end)

    def _lost(self, claim: Claim) -> None:
        """Called by the heartbeat's thread."""
        self._loop.call_soon_threadsafe(self._cancel, claim)

    def _cancel(self, claim: Claim) -> None:
        if task := self._tasks.get(claim):
            logger.info("file %s is in other hands", claim.place_id)
            task.cancel()

    def _stop(self) -> None:
        logger.info("the worker stops: %d files are given back", len(self._tasks))
        self._stopping = True
        for task in self._tasks.values():
            task.cancel()
        self._changed.set()
