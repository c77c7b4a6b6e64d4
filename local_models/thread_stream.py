"""From a thread that computes to a coroutine that sends: each result as soon as it is there."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from typing import TypeVar

Result = TypeVar("Result")


async def results(
    pool: Executor, work: Callable[[Callable[[Result], bool]], None]
) -> AsyncGenerator[Result, None]:
    """Run ``work`` in ``pool`` and generate what it hands over.

    Closing the generator tells ``work`` at its next result that nobody wants more.

    Args:
        pool: its queue is the queue of those that wait for their turn.
        work: calls the function that it is given with each result, and ends early when that returns true. What
            it raises comes out of the generator.
    """
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[tuple[Result] | None] = asyncio.Queue()
    left = threading.Event()

    def arrive(result: Result) -> bool:
        loop.call_soon_threadsafe(arrived.put_nowait, (result,))
        return left.is_set()

    def run() -> None:
        try:
            if not left.is_set():
                work(arrive)
        finally:
            loop.call_soon_threadsafe(arrived.put_nowait, None)

    working = loop.run_in_executor(pool, run)
    try:
        while (item := await arrived.get()) is not None:
            yield item[0]
        await working
    finally:
        left.set()
        working.cancel()
