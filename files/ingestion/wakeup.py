"""Waking the workers. A message that is lost costs two seconds: beat sends one by itself, too."""

import logging
import threading

from django.conf import settings
from django.db import connection, transaction

logger = logging.getLogger(__name__)

TASK = "files.tasks.ingest"
QUEUE = "ingest"
#: Seconds that the broker may take for each of its steps.
PATIENCE = 1.0
#: Seconds after which nobody needs the message any more.
EXPIRES = 60


class _Waker:
    """One thread a process that publishes; what is asked for while it is at it becomes one message."""

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        self._wanted.set()
        # A thread does not come along into a process that is forked off, and there it counts as dead.
        if self._thread is None or not self._thread.is_alive():
            with self._starting:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._publish_for_ever, name="waker", daemon=True)
                    self._thread.start()

    def _publish_for_ever(self) -> None:
        failing = False
        while self._wanted.wait():
            self._wanted.clear()
            try:
                publish()
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the broker, beat wakes as well
                if not failing:
                    logger.warning("ingestion is not woken: %s", type(error).__name__)
                failing = True
            else:
                failing = False


def publish() -> None:
    """Send one message; it says nothing but that there is something to do.

    Raises what the broker's client raises where it cannot be reached within a few seconds.
    """
    # Here, in the waker's thread: a fifth of the time in which a process starts, of which most never wake anybody.
    from celery import Celery

    # A client of its own: the one that tasks are sent with hangs for as long as Redis is away.
    with Celery(broker=settings.CELERY_BROKER_URL, set_as_current=False) as client:
        client.conf.broker_transport_options = {
            **settings.CELERY_BROKER_TRANSPORT_OPTIONS,
            "socket_timeout": PATIENCE,
            "socket_connect_timeout": PATIENCE,
        }
        with client.connection_for_write(connect_timeout=PATIENCE) as broker:
            client.send_task(TASK, connection=broker, queue=QUEUE, retry=False, expires=EXPIRES)


_waker = _Waker()


def wake() -> None:
    """Have a worker look for work soon, and return at once; inside a transaction, once that is committed."""
    if connection.in_atomic_block:
        transaction.on_commit(_waker.wake)
    else:
        _waker.wake()
