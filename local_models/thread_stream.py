"""Streams results from a worker thread to a coroutine."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from typing import TypeVar

Result = TypeVar("Result")


async def results(
    pool: Executor, work: Callable[[Callable[[Result], bool]], None]
) -> AsyncGenerator[Result, None]:
    """Run ``work`` in ``pool`` and generate its results.

    Closing the generator asks ``work`` to stop at its next result.

    Args:
        pool: its queue holds the calls that wait.
        work: passes each result to the function that it receives, and stops when that returns true. Its
            exceptions are raised by the generator.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[tuple[Result] | None] = asyncio.Queue()
    closed = threading.Event()

    def emit(result: Result) -> bool:
        loop.call_soon_threadsafe(queue.put_nowait, (result,))
        return closed.is_set()

    def run() -> None:
        try:
            if not closed.is_set():
                work(emit)
        finally:
            loop.call_soon_threadsafe(queue.put_nowait, None)

    running = loop.run_in_executor(pool, run)
    try:
        while (item := await queue.get()) is not None:
            yield item[0]
        await running
    finally:
        closed.set()
        running.cancel()
