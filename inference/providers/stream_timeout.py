"""Timeouts of a provider's stream: to the first byte, between two reads, and in total."""

import asyncio

from inference.providers.base import Timeouts


class StreamTimeout:
    """Cancels the current task when a provider's stream is silent for too long.

    One timer serves a whole stream: when it fires, it looks at the time of the last byte and reschedules itself.
    It cancels the task only while that waits for the provider, never while it waits for the client.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._limit = timeouts.first_byte
        self._between = timeouts.between_chunks
        self._last = self._loop.time()
        self._end = self._last + timeouts.total
        self._waiting = True
        self._timer = self._loop.call_at(min(self._last + self._limit, self._end), self._check)
        self.expired = False

    def received(self) -> None:
        """Note that bytes arrived, and stop counting while the client is waited for."""
        self._waiting = False
        self._last = self._loop.time()
        if self._limit != self._between:
            # From now on the other limit applies, which may end before the timer for the first byte.
            self._limit = self._between
            self._timer.cancel()
            self._timer = self._loop.call_at(min(self._last + self._limit, self._end), self._check)

    def resume(self) -> None:
        """Count again, from now on, unless it counts already.

        Raises:
            TimeoutError: the total time has passed meanwhile.
        """
        if self._waiting:
            return
        self._waiting = True
        self._last = self._loop.time()
        if self._last > self._end:
            raise TimeoutError

    def stop(self) -> None:
        """Cancel the timer."""
        self._timer.cancel()

    def _check(self) -> None:
        now = self._loop.time()
        due = min(self._last + self._limit, self._end)
        if self._waiting and now >= due and self._task is not None:
            self.expired = True
            self._task.cancel()
        else:
            self._timer = self._loop.call_at(max(due, now + 0.05), self._check)
