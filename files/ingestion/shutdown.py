"""How the processes of a worker's pool learn that the worker is to stop.

Celery lets tasks run to their end before it stops and tells them nothing. A pipe that the processes inherit does:
once there is a byte in it, which nobody takes out, it is readable for all of them.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from celery.signals import worker_init, worker_shutting_down

_pipe: tuple[int, int] | None = None


@worker_init.connect
def prepare(**_: object) -> None:
    """Make the pipe, before any process is forked off."""
    global _pipe  # noqa: PLW0603 - one a worker, for its processes to inherit
    if _pipe is None:
        _pipe = os.pipe()


@worker_shutting_down.connect
def announce(**_: object) -> None:
    """Called in a signal's handler, in the worker itself."""
    if _pipe is not None:
        os.write(_pipe[1], b".")


def when_stopping(call: Callable[[], None]) -> Callable[[], None]:
    """Have the running loop call ``call`` once the worker is to stop; returns what takes that back."""
    if _pipe is None:
        return lambda: None
    loop, descriptor = asyncio.get_running_loop(), _pipe[0]

    def stop() -> None:
        loop.remove_reader(descriptor)
        call()

    loop.add_reader(descriptor, stop)
    return lambda: _forget(loop, descriptor)


def _forget(loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
    with suppress(RuntimeError):
        loop.remove_reader(descriptor)
