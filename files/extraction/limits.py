"""What reading one file may cost."""

import resource
from dataclasses import dataclass

#: Files and sockets that are open at once.
_DESCRIPTORS = 64
#: Bytes that a character takes at most in the answer, as it is written in JSON.
_BYTES_A_CHARACTER = 6


@dataclass(frozen=True, slots=True)
class Limits:
    """``seconds`` of processor time, ``deadline`` in seconds of the clock, ``memory`` in bytes of addresses."""

    seconds: int
    deadline: float
    memory: int
    characters: int
    sections: int = 100_000

    @property
    def answer(self) -> int:
        """Bytes of the largest answer, and of any file that is written on the way."""
        return self.characters * _BYTES_A_CHARACTER + 64 * 1024 * 1024

    def impose(self) -> None:
        """Hold this process to the limits, for good."""
        for what, most in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_NOFILE, _DESCRIPTORS),
            (resource.RLIMIT_FSIZE, self.answer),
            (resource.RLIMIT_AS, self.memory),
        ):
            resource.setrlimit(what, (most, most))
        # The first of the two ends it with a signal that says why.
        resource.setrlimit(resource.RLIMIT_CPU, (self.seconds, self.seconds + 2))
