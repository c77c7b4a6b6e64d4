"""What the policy says, kept in each process: snapshots, and the watch that drops them when a row changes.

Triggers on the policy's tables write the tenant of every change into ``PolicyChange``. Each process looks there
every quarter of a second, in a thread with a connection of its own, and drops what it holds of the tenants that
changed; the next request loads it anew. So a warm request asks nobody, and a change holds everywhere within a
second, with Redis or without. While PostgreSQL is away, snapshots serve on for ``POLICY_STALE_SECONDS``.
"""

import asyncio
import logging
import threading
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.db import Error, connection
from psycopg_pool import PoolTimeout

from gtapi.database import in_thread
from gtapi.errors import Unavailable

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

#: After so many seconds without a look, lines of the log may have been pruned: everything is dropped.
FORGET_SECONDS = 600.0


class PolicyCache(Generic[K, V]):
    """Snapshots by key, the oldest dropped when there are too many.

    ``load(key)`` reads one from the database, in a thread, and returns it with the tenant whose changes make it
    stale; the tenant is ``None`` for what does not exist, which any change makes stale. What does not exist has
    a small place of its own, so that guesses cannot crowd out what does.
    """

    UNKNOWN_SIZE = 1_000

    def __init__(
        self, watch: "PolicyWatch", load: Callable[[K], tuple[int | None, V]], size: int = 50_000
    ) -> None:
        self._watch = watch
        self._load = load
        self._size = size
        self._known: OrderedDict[K, V] = OrderedDict()
        self._unknown: OrderedDict[K, V] = OrderedDict()
        self._keys: defaultdict[int, set[K]] = defaultdict(set)
        self._loading: dict[K, asyncio.Future[V]] = {}
        watch.caches.append(self)

    async def get(self, key: K) -> V:
        """Return the snapshot for ``key``, from memory where it is there.

        Raises:
            Unavailable: PostgreSQL has been away for too long, or is away and the snapshot is not here.
        """
        if monotonic() - self._watch.fresh_at > settings.POLICY_STALE_SECONDS:
            raise Unavailable(detail="the policy is stale: PostgreSQL cannot be reached")
        if key in self._known:
            return self._known[key]
        if key in self._unknown:
            return self._unknown[key]
        loading = self._loading.get(key)
        if loading is None:
            loading = asyncio.ensure_future(self._fill(key))
            self._loading[key] = loading
            loading.add_done_callback(lambda done: self._loaded(key, done))
        # Shielded, since other requests may wait for the same snapshot.
        return await asyncio.shield(loading)

    def _loaded(self, key: K, done: "asyncio.Future[V]") -> None:
        del self._loading[key]
        if not done.cancelled():
            # Looked at, in case everybody who waited has left.
            done.exception()

    async def _fill(self, key: K) -> V:
        while True:
            generation = self._watch.generation
            try:
                tenant_id, value = await in_thread(self._load, key)
            except (Error, PoolTimeout) as error:
                raise Unavailable(detail=f"the policy cannot be loaded: {type(error).__name__}") from error
            # What was read before a change that became known meanwhile may be out of date.
            if generation == self._watch.generation:
                self._keep(key, tenant_id, value)
                return value

    def _keep(self, key: K, tenant_id: int | None, value: V) -> None:
        if tenant_id is None:
            self._unknown[key] = value
            if len(self._unknown) > self.UNKNOWN_SIZE:
                self._unknown.popitem(last=False)
            return
        self._known[key] = value
        self._keys[tenant_id].add(key)
        if len(self._known) > self._size:
            self._known.popitem(last=False)

    def drop(self, tenants: set[int] | None) -> None:
        """Forget what depends on these tenants; None stands for everything."""
        self._unknown.clear()
        if tenants is None:
            self._known.clear()
            self._keys.clear()
            return
        for tenant in tenants:
            for key in self._keys.pop(tenant, ()):
                self._known.pop(key, None)


class PolicyWatch:
    """Looks for changes of the policy, and tells the caches."""

    def __init__(self) -> None:
        self.caches: list[PolicyCache[Any, Any]] = []
        self.generation = 0
        self.fresh_at = float("-inf")
        self._xmin = 0
        self._seen: set[int] = set()

    def look(self) -> set[int] | None:
        """Return the tenants that changed since the last look; None where all of them may have."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,"
                " array_agg(ARRAY[id, tenant_id]) FROM tenants_policychange WHERE xid >= %s",
                [self._xmin],
            )
            xmin, lines = cursor.fetchone()
        changes = dict(lines or [])
        forget = xmin < self._xmin or monotonic() - self.fresh_at > FORGET_SECONDS
        tenants = {tenant for line, tenant in changes.items() if line not in self._seen}
        self._xmin, self._seen = xmin, set(changes)
        return None if forget else tenants

    def apply(self, looked_at: float, tenants: set[int] | None) -> None:
        """Take what a look found, on the event loop."""
        self.fresh_at = looked_at
        if tenants is None or tenants:
            self.generation += 1
            for cache in self.caches:
                cache.drop(tenants)

    def run(self, loop: asyncio.AbstractEventLoop, stop: threading.Event, ready: threading.Event) -> None:
        """Look again and again until ``stop``; the body of the thread."""
        away = False
        while not stop.is_set():
            looked_at = monotonic()
            try:
                tenants = self.look()
            except (Error, PoolTimeout) as error:
                if not away:
                    logger.warning("cannot look for changes of the policy: %s", type(error).__name__)
                away = True
                connection.close()
            else:
                if away:
                    logger.info("looking for changes of the policy again")
                away = False
                loop.call_soon_threadsafe(self.apply, looked_at, tenants)
            ready.set()
            stop.wait(settings.POLICY_POLL_SECONDS)
        connection.close()


watch = PolicyWatch()


@asynccontextmanager
async def watching() -> AsyncIterator[None]:
    """Keep the snapshots fresh; one of the services of the web process."""
    loop = asyncio.get_running_loop()
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(target=watch.run, args=(loop, stop, ready), name="policy", daemon=True)
    thread.start()
    await loop.run_in_executor(None, ready.wait, 10)
    try:
        yield
    finally:
        stop.set()
        await loop.run_in_executor(None, thread.join, 5)
