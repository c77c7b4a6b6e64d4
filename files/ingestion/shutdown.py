"""Tells the processes of a worker's pool that the worker is to stop.

Celery waits for running tasks before it stops, and does not tell them. The worker writes a byte into a pipe that
all processes of the pool inherit; nothing reads it, so the pipe becomes readable for each of them.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from celery.signals import worker_init, worker_shutting_down

_pipe: tuple[int, int] | None = None


@worker_init.connect
def prepare(**_: object) -> None:
    """Create the pipe before any process is forked."""
    global _pipe  # noqa: PLW0603 - one a worker, inherited by its processes
    if _pipe is None:
        _pipe = os.pipe()


@worker_shutting_down.connect
def announce(**_: object) -> None:
    """Called in a signal handler, in the worker's main process."""
    if _pipe is not None:
        os.write(_pipe[1], b".")


def when_stopping(callback: Callable[[], None]) -> Callable[[], None]:
    """Call ``callback`` in the running loop when the worker is to stop; returns a function that unregisters it."""
    if _pipe is None:
        return lambda: None
    loop, descriptor = asyncio.get_running_loop(), _pipe[0]

    def stop() -> None:
        loop.remove_reader(descriptor)
        callback()

    loop.add_reader(descriptor, stop)
    return lambda: _unregister(loop, descriptor)


def _unregister(loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
    with suppress(RuntimeError):
        loop.remove_reader(descriptor)
