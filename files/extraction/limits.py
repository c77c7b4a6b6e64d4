"""What reading one file may cost."""

import resource
import sys
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

    A file whose letters have to be recognised gets ``recognition`` on top, in seconds of processor time, and a
    deadline that is as many times as long.
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
        return self.deadline * (self.seconds + self.recognition) / self.seconds

    def impose(self) -> None:
        """Hold this process to the limits, for good."""
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

    def recognises(self, pid: int) -> bool:
        """Whether a process that is held to these limits has taken the time on top; only Linux tells."""
        if sys.platform != "linux":
            return False
        try:
            return resource.prlimit(pid, resource.RLIMIT_CPU)[0] > self.seconds
        except OSError:
            return False


def more_time() -> float:
    """Take the time on top; returns how many seconds of processor time this process may have then in all."""
    _, last = resource.getrlimit(resource.RLIMIT_CPU)
    if last == resource.RLIM_INFINITY:
        return float("inf")
    resource.setrlimit(resource.RLIMIT_CPU, (last - _ON_TOP, last))
    return last - _ON_TOP
