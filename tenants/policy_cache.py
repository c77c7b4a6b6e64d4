"""``PolicyCache``: in-process snapshots of keys, grants and routes, dropped when their tenant changes.

Triggers on the tables behind the policy log the tenant of every change in ``PolicyChange``. A thread of each
process reads that log every ``POLICY_POLL_SECONDS``, over a separate connection, and drops the snapshots of the
tenants that changed; the next request loads them again. Warm requests therefore query nothing, and a change takes
effect within a second, with or without Redis. While PostgreSQL is unavailable, snapshots serve for
``POLICY_STALE_SECONDS``.
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

#: After this many seconds without a poll, the log may have been pruned: all snapshots are dropped.
MAX_POLL_GAP_SECONDS = 600.0


class PolicyCache(Generic[K, V]):
    """Snapshots by key, limited to ``size``; the oldest are evicted first.

    ``load(key)`` reads a snapshot from the database, in a thread, and returns it with the tenant whose changes
    invalidate it. The tenant is ``None`` if the key does not exist; any change invalidates such an entry. Missing
    keys are cached separately, so that guessed keys cannot evict existing ones.
    """

    MAX_MISSING = 1_000

    def __init__(
        self, watch: "PolicyWatch", load: Callable[[K], tuple[int | None, V]], size: int = 50_000
    ) -> None:
        self._watch = watch
        self._load = load
        self._size = size
        self._found: OrderedDict[K, V] = OrderedDict()
        self._missing: OrderedDict[K, V] = OrderedDict()
        self._keys: defaultdict[int, set[K]] = defaultdict(set)
        self._loading: dict[K, asyncio.Future[V]] = {}
        watch.caches.append(self)

    async def get(self, key: K) -> V:
        """Return the snapshot for ``key``, cached or loaded.

        Raises:
            Unavailable: PostgreSQL is unavailable, and the snapshot is not cached or all are stale.
        """
        if monotonic() - self._watch.fresh_at > settings.POLICY_STALE_SECONDS:
            raise Unavailable(detail="The policy cache is stale: PostgreSQL cannot be reached.")
        if key in self._found:
            return self._found[key]
        if key in self._missing:
            return self._missing[key]
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
            # Retrieved, in case all waiting requests were cancelled.
            done.exception()

    async def _fill(self, key: K) -> V:
        while True:
            generation = self._watch.generation
            try:
                tenant_id, value = await in_thread(self._load, key)
            except (Error, PoolTimeout) as error:
                raise Unavailable(detail=f"The policy cannot be loaded: {type(error).__name__}.") from error
            # If a change was logged while it was loaded, the snapshot may be outdated.
            if generation == self._watch.generation:
                self._add(key, tenant_id, value)
                return value

    def _add(self, key: K, tenant_id: int | None, value: V) -> None:
        if tenant_id is None:
            self._missing[key] = value
            if len(self._missing) > self.MAX_MISSING:
                self._missing.popitem(last=False)
            return
        self._found[key] = value
        self._keys[tenant_id].add(key)
        if len(self._found) > self._size:
            self._found.popitem(last=False)

    def drop(self, tenants: set[int] | None) -> None:
        """Drop the snapshots of these tenants; None means all."""
        self._missing.clear()
        if tenants is None:
            self._found.clear()
            self._keys.clear()
            return
        for tenant in tenants:
            for key in self._keys.pop(tenant, ()):
                self._found.pop(key, None)


class PolicyWatch:
    """Polls the log of policy changes and invalidates the caches."""

    def __init__(self) -> None:
        self.caches: list[PolicyCache[Any, Any]] = []
        self.generation = 0
        self.fresh_at = float("-inf")
        self._xmin = 0
        self._seen: set[int] = set()

    def poll(self) -> set[int] | None:
        """Return the tenants that changed since the last poll; None if all may have changed."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,"
                " array_agg(ARRAY[id, tenant_id]) FROM tenants_policychange WHERE xid >= %s",
                [self._xmin],
            )
            xmin, rows = cursor.fetchone()
        changes = dict(rows or [])
        drop_all = xmin < self._xmin or monotonic() - self.fresh_at > MAX_POLL_GAP_SECONDS
        tenants = {tenant for change, tenant in changes.items() if change not in self._seen}
        self._xmin, self._seen = xmin, set(changes)
        return None if drop_all else tenants

    def apply(self, polled_at: float, tenants: set[int] | None) -> None:
        """Apply the result of a poll, on the event loop."""
        self.fresh_at = polled_at
        if tenants is None or tenants:
            self.generation += 1
            for cache in self.caches:
                cache.drop(tenants)

    def run(self, loop: asyncio.AbstractEventLoop, stop: threading.Event, ready: threading.Event) -> None:
        """Poll until ``stop`` is set; the body of the thread."""
        unavailable = False
        while not stop.is_set():
            polled_at = monotonic()
            try:
                tenants = self.poll()
            except (Error, PoolTimeout) as error:
                if not unavailable:
                    logger.warning("Policy changes cannot be read: %s", type(error).__name__)
                unavailable = True
                connection.close()
            else:
                if unavailable:
                    logger.info("Policy changes can be read again.")
                unavailable = False
                loop.call_soon_threadsafe(self.apply, polled_at, tenants)
            ready.set()
            stop.wait(settings.POLICY_POLL_SECONDS)
        connection.close()


watch = PolicyWatch()


@asynccontextmanager
async def watching() -> AsyncIterator[None]:
    """Invalidate snapshots while the web process runs; one of its services."""
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
