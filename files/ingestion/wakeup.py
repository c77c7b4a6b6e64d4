"""Wake-up messages: they make workers look for files at once, instead of when beat next sends one."""

import logging
import threading
from typing import Any

from django.conf import settings
from django.db import connection, transaction

logger = logging.getLogger(__name__)

INGEST_QUEUE, OCR_QUEUE = "ingest", "ocr"
#: The task that each queue's workers run.
TASKS = {INGEST_QUEUE: "files.tasks.ingest", OCR_QUEUE: "files.tasks.ocr"}
#: Seconds that each operation of the broker may take.
BROKER_TIMEOUT = 1.0
#: Seconds after which a message is discarded.
EXPIRES = 60
#: Messages in a queue beyond which none is added. They pile up if no worker reads the queue.
MAX_MESSAGES = 100


class _Waker:
    """One thread a process that publishes; requests during a publication become one message."""

    def __init__(self) -> None:
        self._queues: set[str] = set()
        self._requested = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self, queue: str) -> None:
        self._queues.add(queue)
        self._requested.set()
        # A forked process has no copy of the thread; there it counts as dead.
        if self._thread is None or not self._thread.is_alive():
            with self._starting:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._run, name="waker", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        failing = False
        while self._requested.wait():
            self._requested.clear()
            try:
                while self._queues:
                    publish(self._queues.pop())
            except Exception as error:  # noqa: BLE001 - whatever fails at the broker, beat sends messages too
                if not failing:
                    logger.warning("Workers cannot be woken: %s.", type(error).__name__)
                failing = True
            else:
                failing = False


def publish(queue: str = INGEST_QUEUE) -> None:
    """Send a message that tells a queue's workers to look for files.

    Raises what the broker's client raises if it cannot be reached within a few seconds.
    """
    # Imported here: it takes a fifth of a process's start-up time, and most processes never send a message.
    from celery import Celery

    # A separate client: the one for tasks blocks for as long as Redis is unavailable.
    with Celery(broker=settings.CELERY_BROKER_URL, set_as_current=False) as client:
        client.conf.broker_transport_options = {
            **settings.CELERY_BROKER_TRANSPORT_OPTIONS,
            "socket_timeout": BROKER_TIMEOUT,
            "socket_connect_timeout": BROKER_TIMEOUT,
        }
        with client.connection_for_write(connect_timeout=BROKER_TIMEOUT) as broker:
            if _messages(client.amqp.queues[queue](broker.default_channel)) < MAX_MESSAGES:
                client.send_task(TASKS[queue], connection=broker, queue=queue, retry=False, expires=EXPIRES)


def _messages(queue: Any) -> int:
    return int(queue.queue_declare().message_count)


_waker = _Waker()


def wake(queue: str = INGEST_QUEUE) -> None:
    """Wake a queue's workers without waiting for the broker; inside a transaction, once it is committed."""
    if connection.in_atomic_block:
        transaction.on_commit(lambda: _waker.wake(queue))
    else:
        _waker.wake(queue)
