"""What reading one file may cost."""

import resource
import signal
import sys
import time
from dataclasses import dataclass

#: Files and sockets that are open at once.
_DESCRIPTORS = 64
#: Bytes that a character takes at most in the answer, as it is written in JSON.
_BYTES_A_CHARACTER = 6
#: Seconds of processor time after the last that says why, when a process is killed.
_ON_TOP = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """``seconds`` of processor time, ``deadline`` in seconds of the clock, ``memory`` in bytes of addresses.

    A file whose letters have to be recognised gets ``recognition`` on top, in seconds of processor time. By the
    clock it has no more than that in all, or what every file has; where nobody who waits can tell such a file from
    others, it has what every file has.
    """

    seconds: int
    deadline: float
    memory: int
    characters: int
    sections: int = 100_000
    recognition: int = 0

    @property
    def answer(self) -> int:
        """Bytes of the largest answer, and of any file that is written on the way."""
        return self.characters * _BYTES_A_CHARACTER + 64 * 1024 * 1024

    @property
    def last_deadline(self) -> float:
        if sys.platform != "linux":
            return self.deadline
        return max(self.deadline, self.seconds + self.recognition)

    def impose(self, began: float) -> None:
        """Hold this process to the limits, for good; at ``began``, by the monotonic clock, it was started."""
        for what, most in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_NOFILE, _DESCRIPTORS),
            (resource.RLIMIT_FSIZE, self.answer),
            (resource.RLIMIT_AS, self.memory),
        ):
            resource.setrlimit(what, (most, most))
        # The first of the two ends it with a signal that says why, and can be moved up to the second.
        last = self.seconds + self.recognition + _ON_TOP
        resource.setrlimit(resource.RLIMIT_CPU, (self.seconds, last))
        # Whoever waits for the process ends it before: it is to know how much time is left.
        left = began + self.last_deadline - time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, max(left, 0) + _ON_TOP)

    def recognises(self, pid: int) -> bool:
        """Whether a process that is held to these limits has taken the time on top; only Linux tells."""
        if sys.platform != "linux":
            return False
        try:
            return resource.prlimit(pid, resource.RLIMIT_CPU)[0] > self.seconds
        except OSError:
            return False


def more_time() -> tuple[float, float]:
    """Take the time on top.

    Returns how many seconds of processor time this process may have then in all, and the moment of the monotonic
    clock when it is ended in any case.
    """
    _, last = resource.getrlimit(resource.RLIMIT_CPU)
    if last == resource.RLIM_INFINITY:
        return float("inf"), float("inf")
    resource.setrlimit(resource.RLIMIT_CPU, (last - _ON_TOP, last))
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    return last - _ON_TOP, time.monotonic() + left - _ON_TOP
