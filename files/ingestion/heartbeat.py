"""The thread that keeps the leases of a process alive while its event loop is at work."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from django.conf import settings
from django.db import connections

logger = logging.getLogger(__name__)

#: Beats in the time of a lease: some may be missed.
BEATS = 4

Held = TypeVar("Held")


class Heartbeat(Generic[Held]):
    """Extends what is held, and calls ``lost`` (in its own thread) for each of it that is not ours any more.

    ``alive`` extends leases in the database, and returns those that are still ours.
    """

    def __init__(self, alive: Callable[[set[Held]], set[Held]], lost: Callable[[Held], None]) -> None:
        self._alive = alive
        self._lost = lost
        self._held: set[Held] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat_for_ever, name="heartbeat", daemon=True)

    def hold(self, one: Held) -> None:
        with self._lock:
            self._held.add(one)

    def drop(self, one: Held) -> None:
        with self._lock:
            self._held.discard(one)

    def _beat_for_ever(self) -> None:
        while not self._over.wait(settings.INGEST_LEASE_SECONDS / BEATS):
            try:
                self._beat()
            except Exception as error:  # noqa: BLE001 - without the database nobody else can claim, either
                logger.warning("leases are not extended: %s", type(error).__name__)
            finally:
                connections.close_all()

    def _beat(self) -> None:
        with self._lock:
            held = set(self._held)
        for gone in held - self._alive(held):
            with self._lock:
                still_held = gone in self._held
            if still_held:
                self._lost(gone)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
