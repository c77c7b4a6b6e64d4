"""File locks between processes, which the kernel releases when their last holder dies."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic

PAUSE = 0.02


class FileLock:
    """An advisory lock (flock) on a file, held as long as any process has its descriptor open.

    Children that inherit the descriptor hold the lock after their parent's death: if the lock can be acquired, none
    of them is running.
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
        """Acquire the lock without waiting, and return whether that succeeded.

        A held lock is converted between shared and exclusive; if that fails, the lock is lost.
        """
        try:
            fcntl.flock(self.descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def wait(self, seconds: float, pause: Callable[[float], object], *, shared: bool = False) -> bool:
        """Acquire the lock, waiting up to `seconds`, and return whether that succeeded."""
        deadline = monotonic() + seconds
        while not self.acquire(shared=shared):
            if monotonic() > deadline:
                return False
            pause(PAUSE)
        return True

    def is_free(self) -> bool:
        """Whether the lock is free at this moment."""
        acquired = self.acquire()
        self.release()
        return acquired

    def is_current(self) -> bool:
        """Whether the open file still exists under its name: it may have been removed."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), self.file.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Close the descriptor. Children that inherited it still hold the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def write_note(self, text: str) -> None:
        """Write `text` into the lock file, to describe the holder."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text.encode(), 0)

    def read_note(self) -> str:
        return os.pread(self.descriptor, 1000, 0).decode(errors="replace")
