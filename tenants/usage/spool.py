"""The spool: files that hold usage events while Redis is unavailable, one event per line, one file per process.

A process locks its file while it may write to it. Another process that obtains the lock knows that the writer has
closed the file or is dead, and may replay and delete it. All functions block.
"""

import fcntl
import os
import secrets
from collections.abc import Generator, Sequence
from pathlib import Path

SUFFIX = ".records"
#: A larger file is closed and a new one begun, so that a replay can proceed file by file.
MAX_FILE_BYTES = 64 * 1024 * 1024


class Spool:
    """The spool file that this process writes to, created with the first event."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._descriptor: int | None = None
        self._size = 0

    @property
    def open(self) -> bool:
        """Whether this process holds a file, which others cannot replay."""
        return self._descriptor is not None

    def append(self, lines: Sequence[bytes]) -> None:
        """Write encoded events and return once they are on disk. After an OSError none of them may be."""
        if self._descriptor is None or self._size > MAX_FILE_BYTES:
            self.close_file()
            self._descriptor = self._create()
            self._size = 0
        data = b"\n".join(lines) + b"\n"
        try:
            _write(self._descriptor, data)
            os.fsync(self._descriptor)
        except OSError:
            # The file may end in an incomplete line: the next events go to a new file.
            self.close_file()
            raise
        self._size += len(data)

    def close_file(self) -> None:
        """Close and unlock the file, so that it can be replayed; the next events go to a new one."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _create(self) -> int:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            path = self.folder / f"{os.getpid()}-{secrets.token_hex(8)}{SUFFIX}"
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                # Another process may have locked it first, found it empty and deleted it.
                if os.fstat(descriptor).st_nlink:
                    _sync_folder(self.folder)
                    return descriptor
            except OSError:
                os.close(descriptor)
                raise
            os.close(descriptor)


class SpoolFile:
    """A spool file without a writer, locked by this process until it is released."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._file = os.fdopen(descriptor, "rb")

    def read(self, count: int) -> list[bytes]:
        """Return the next ``count`` encoded events or fewer; an empty list at the end."""
        lines: list[bytes] = []
        while len(lines) < count and (line := self._file.readline()):
            # An incomplete last line was never acknowledged: the writer died while writing it.
            if line.endswith(b"\n") and line != b"\n":
                lines.append(line[:-1])
        return lines

    def delete(self) -> None:
        """Delete the file, after its events are stored elsewhere."""
        self.path.unlink(missing_ok=True)

    def release(self) -> None:
        self._file.close()


def list_files(folder: Path) -> list[Path]:
    """Return all spool files of the folder, oldest first."""
    try:
        with os.scandir(folder) as scan:
            entries = [entry for entry in scan if entry.name.endswith(SUFFIX)]
    except FileNotFoundError:
        return []
    return sorted((Path(entry.path) for entry in entries), key=_modified_at)


def files_without_writer(folder: Path) -> Generator[SpoolFile, None, None]:
    """Yield each spool file without a writer, and release it before the next one."""
    for path in list_files(folder):
        spool_file = claim(path)
        if spool_file is not None:
            try:
                yield spool_file
            finally:
                spool_file.release()


def claim(path: Path) -> SpoolFile | None:
    """Return the locked file, or None if its writer is alive, another process replays it or it is deleted."""
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
    return SpoolFile(path, descriptor)


def _modified_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _write(descriptor: int, data: bytes) -> None:
    remaining = memoryview(data)
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
