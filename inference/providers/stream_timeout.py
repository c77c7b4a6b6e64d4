"""How long a stream of a provider may be silent."""

import asyncio

from inference.providers.base import Timeouts


class StreamTimeout:
    """Ends a stream's wait for bytes: the first one, each next one, and all of them together have a limit.

    One timer serves a whole stream: it looks at the time of the last byte when it fires and sets itself anew.
    It interrupts its task only while that waits for the provider, never while it waits for the client.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._limit = timeouts.first_byte
        self._between = timeouts.between_chunks
        self._last = self._loop.time()
        self._end = self._last + timeouts.total
        self._waiting = True
        self._timer = self._loop.call_at(min(self._last + self._limit, self._end), self._look)
        self.expired = False

    def heard(self) -> None:
        """Note that bytes came."""
        self._last = self._loop.time()
        if self._limit != self._between:
            # From now on the other limit holds, which may end before the timer for the first byte.
            self._limit = self._between
            self._timer.cancel()
            self._timer = self._loop.call_at(min(self._last + self._limit, self._end), self._look)

    def pause(self) -> None:
        """Stop counting while the client, and not the provider, is waited for."""
        self._waiting = False

    def resume(self) -> None:
        """Count again, from now on.

        Raises:
            TimeoutError: the whole request has taken too long meanwhile.
        """
        self._waiting = True
        self._last = self._loop.time()
        if self._last > self._end:
            raise TimeoutError

    def stop(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        due = min(self._last + self._limit, self._end)
        if self._waiting and now >= due and self._task is not None:
            self.expired = True
            self._task.cancel()
        else:
            self._timer = self._loop.call_at(max(due, now + 0.05), self._look)
