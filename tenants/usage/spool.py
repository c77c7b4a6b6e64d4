"""Files in which usage records wait while Redis is away: one record a line, one file a process.

A process holds a lock on its file for as long as it may write to it. Whoever can take the lock knows that the
writer has given the file up or is dead, and may replay it and then delete it. Everything here blocks.
"""

import fcntl
import os
import secrets
from collections.abc import Generator, Sequence
from pathlib import Path

SUFFIX = ".records"
#: A file that has grown to so many bytes is given up for a new one, so that a replay can be done by halves.
LARGE_FILE = 64 * 1024 * 1024


class Spool:
    """This process's file, made when the first records come."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._descriptor: int | None = None
        self._size = 0

    @property
    def open(self) -> bool:
        """Whether there is a file that others cannot replay yet."""
        return self._descriptor is not None

    def append(self, lines: Sequence[bytes]) -> None:
        """Write packed records; returns once they are on disk. Raises OSError, and then none may be."""
        if self._descriptor is None or self._size > LARGE_FILE:
            self.give_up()
            self._descriptor = self._make()
            self._size = 0
        data = b"\n".join(lines) + b"\n"
        try:
            _write(self._descriptor, data)
            os.fsync(self._descriptor)
        except OSError:
            # Half a line must not spoil the next one, which goes into another file.
            self.give_up()
            raise
        self._size += len(data)

    def give_up(self) -> None:
        """Leave the file to whoever replays it; the next records go into a new one."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _make(self) -> int:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            path = self.folder / f"{os.getpid()}-{secrets.token_hex(8)}{SUFFIX}"
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                # Somebody may have locked it first, found it empty and deleted it.
                if os.fstat(descriptor).st_nlink:
                    _sync_folder(self.folder)
                    return descriptor
            except OSError:
                os.close(descriptor)
                raise
            os.close(descriptor)


class Leftover:
    """A file that nobody writes to any more, locked by us until it is released."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._file = os.fdopen(descriptor, "rb")

    def read(self, count: int) -> list[bytes]:
        """Return the next packed records, at most ``count``; none at the end."""
        lines: list[bytes] = []
        while len(lines) < count and (line := self._file.readline()):
            # A last line without its end was never acknowledged: its writer died while it wrote.
            if line.endswith(b"\n") and line != b"\n":
                lines.append(line[:-1])
        return lines

    def delete(self) -> None:
        """Delete the file, now that its records are kept elsewhere."""
        self.path.unlink(missing_ok=True)

    def release(self) -> None:
        self._file.close()


def waiting(folder: Path) -> list[Path]:
    """Return the files of the folder, the writers' own included, oldest first."""
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if entry.name.endswith(SUFFIX)]
    except FileNotFoundError:
        return []
    return sorted((Path(entry.path) for entry in entries), key=_made_at)


def leftovers(folder: Path) -> Generator[Leftover, None, None]:
    """Yield each file that nobody writes to, and release it when the next one is asked for."""
    for path in waiting(folder):
        leftover = claim(path)
        if leftover is not None:
            try:
                yield leftover
            finally:
                leftover.release()


def claim(path: Path) -> Leftover | None:
    """Return the file, locked; None while its writer lives, somebody else replays it or it is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    if not os.fstat(descriptor).st_nlink:
        os.close(descriptor)
        return None
    return Leftover(path, descriptor)


def _made_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
