"""Signal handling: waits that SIGINT and SIGTERM interrupt, and no other code."""

import os
import select
import signal
from types import FrameType
from typing import Self

from gtapi.stack.errors import Interrupted

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ShutdownSignals:
    """A context in which SIGINT, SIGTERM and SIGHUP are recorded, and `pause` then raises Interrupted.

    A second signal raises KeyboardInterrupt immediately. The death of a child ends a pause early. Main thread only.
    """

    def __init__(self) -> None:
        self.received = 0
        self._read = self._write = -1

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _wake)
        for number in ENDINGS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell's background job
                signal.signal(number, self._count_signal)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._read)
        os.close(self._write)

    def pause(self, seconds: float) -> None:
        """Wait up to `seconds`. Raises Interrupted if a signal has been received."""
        self._raise_if_received()
        if select.select([self._read], [], [], seconds)[0]:
            os.read(self._read, 512)
        self._raise_if_received()

    def _raise_if_received(self) -> None:
        if self.received:
            raise Interrupted

    def _count_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.received += 1
        if self.received > 1:
            raise KeyboardInterrupt


def _wake(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: with a handler installed, Python writes to the wake-up descriptor."""
