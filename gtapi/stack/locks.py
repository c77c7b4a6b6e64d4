"""Locks between processes, which the kernel lets go of when their last holder dies, however it dies."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic

PAUSE = 0.02


class FileLock:
    """An advisory lock on one file, kept for as long as any process has this descriptor open.

    A child that is given the descriptor keeps the lock after its parent's death, and so do its own children:
    a lock that can be taken proves that none of them is left.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._descriptor

    def acquire(self, *, shared: bool = False) -> bool:
        """Take the lock if nobody stands in the way, and say whether it was taken.

        Of a lock that is already held it changes the kind; where that fails the lock is lost.
        """
        try:
            fcntl.flock(self.descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def wait(self, seconds: float, pause: Callable[[float], object], *, shared: bool = False) -> bool:
        """Take the lock as soon as it is free; False when it was not within `seconds`."""
        deadline = monotonic() + seconds
        while not self.acquire(shared=shared):
            if monotonic() > deadline:
                return False
            pause(PAUSE)
        return True

    def is_free(self) -> bool:
        """Whether nobody holds the lock at this moment, without keeping it."""
        taken = self.acquire()
        self.release()
        return taken

    def is_current(self) -> bool:
        """Whether the file that we have open is the one that bears its name: it may have been removed since."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), self.file.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Close our descriptor. Children that were given it go on holding the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def write_note(self, text: str) -> None:
        """Write `text` into the locked file, for those who wonder who holds it."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text.encode(), 0)

    def read_note(self) -> str:
        return os.pread(self.descriptor, 1000, 0).decode(errors="replace")
