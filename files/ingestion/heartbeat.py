"""Heartbeat: a thread that extends a process's leases while its event loop is busy."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from django.conf import settings
from django.db import connections

logger = logging.getLogger(__name__)

#: Extensions in the term of a lease, so that some may fail.
BEATS_PER_LEASE = 4

Lease = TypeVar("Lease")


class Heartbeat(Generic[Lease]):
    """Extends leases with ``extend``, which returns those that are still held.

    ``on_lost`` is called, in the heartbeat's thread, with each lease that is not.
    """

    def __init__(self, extend: Callable[[set[Lease]], set[Lease]], on_lost: Callable[[Lease], None]) -> None:
        self._extend = extend
        self._on_lost = on_lost
        self._leases: set[Lease] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def add(self, lease: Lease) -> None:
        with self._lock:
            self._leases.add(lease)

    def remove(self, lease: Lease) -> None:
        with self._lock:
            self._leases.discard(lease)

    def _run(self) -> None:
        while not self._stopped.wait(settings.INGEST_LEASE_SECONDS / BEATS_PER_LEASE):
            try:
                self._beat()
            except Exception as error:  # noqa: BLE001 - without the database no other worker can claim either
                logger.warning("Leases could not be extended: %s.", type(error).__name__)
            finally:
                connections.close_all()

    def _beat(self) -> None:
        with self._lock:
            leases = set(self._leases)
        for lost in leases - self._extend(leases):
            with self._lock:
                is_held = lost in self._leases
            if is_held:
                self._on_lost(lost)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
