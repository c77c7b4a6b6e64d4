"""Waiting in a way that a signal ends at once, without code running in the middle of something else."""

import os
import select
import signal
from types import FrameType
from typing import Self

from gtapi.stack.errors import Interrupted

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ShutdownSignals:
    """While entered, SIGINT, SIGTERM and SIGHUP only take note; `pause` raises Interrupted where it is safe.

    A second one raises KeyboardInterrupt on the spot: somebody does not want to wait. A child's death ends a
    pause early. Main thread only.
    """

    def __init__(self) -> None:
        self.asked = 0
        self._read = self._write = -1

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _wake)
        for number in ENDINGS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell's background
                signal.signal(number, self._count_signal)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._read)
        os.close(self._write)

    def pause(self, seconds: float) -> None:
        """Wait, at most `seconds`. Raises Interrupted once one of the signals has come."""
        self._end_if_asked()
        if select.select([self._read], [], [], seconds)[0]:
            os.read(self._read, 512)
        self._end_if_asked()

    def _end_if_asked(self) -> None:
        if self.asked:
            raise Interrupted

    def _count_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.asked += 1
        if self.asked > 1:
            raise KeyboardInterrupt


def _wake(_number: int, _frame: FrameType | None) -> None:
    """Exist, so that the wake-up descriptor is written to."""
