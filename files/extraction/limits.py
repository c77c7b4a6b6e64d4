"""Resource limits of an extraction process: processor time, deadline, memory, output and open files."""

import resource
import signal
import time
from dataclasses import dataclass

#: Files and sockets that may be open at once.
_DESCRIPTORS = 64
#: Bytes that a character takes at most in the result's JSON.
_BYTES_A_CHARACTER = 6
#: Seconds between a limit that the parent enforces or that ends the process with a telling signal, and SIGKILL.
_GRACE = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """``seconds`` of processor time, ``deadline`` in seconds of the clock, ``memory`` in bytes of address space."""

    seconds: int
    deadline: float
    memory: int
    characters: int
    sections: int = 100_000

    @property
    def output(self) -> int:
        """Bytes of the largest result, and of any file that the process writes."""
        return self.characters * _BYTES_A_CHARACTER + 64 * 1024 * 1024

    def impose(self, started_at: float) -> None:
        """Apply the limits to this process for good; ``started_at`` is its start by the monotonic clock."""
        for limit, value in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_NOFILE, _DESCRIPTORS),
            (resource.RLIMIT_FSIZE, self.output),
            (resource.RLIMIT_AS, self.memory),
        ):
            resource.setrlimit(limit, (value, value))
        # The soft limit ends the process with SIGXCPU, by which the parent recognises the reason.
        resource.setrlimit(resource.RLIMIT_CPU, (self.seconds, self.seconds + _GRACE))
        # The parent ends the process at the deadline; the timer serves if the parent is gone, and `time_limits`.
        left = started_at + self.deadline - time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, max(left, 0) + _GRACE)


def time_limits() -> tuple[float, float]:
    """Return when this process is ended: at so many processor seconds, and at this time of the monotonic clock."""
    seconds, _ = resource.getrlimit(resource.RLIMIT_CPU)
    if seconds == resource.RLIM_INFINITY:
        return float("inf"), float("inf")
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    return seconds, time.monotonic() + left - _GRACE
