"""Temporary folders that are found and removed where the process that made them was killed."""

import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings

from gtapi.stack.locks import FileLock

logger = logging.getLogger(__name__)

LOCK = "lock"
#: Seconds that a folder gets between its making and its lock.
YOUNG = 60.0


@contextmanager
def temporary_directory(prefix: str) -> Iterator[Path]:
    """Make a folder that goes with the context. While it is there this process holds its lock.

    Raises:
        OSError: it cannot be made.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=settings.UPLOAD_TEMP_DIR))
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def remove_abandoned(prefix: str) -> int:
    """Remove the folders of processes that are gone, and return how many there were.

    The kernel lets go of a lock when its holder dies, so those of live processes stay, however old they are.
    """
    removed = 0
    for folder in Path(settings.UPLOAD_TEMP_DIR or tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(OSError):  # somebody else's, or gone by now
            if time.time() - folder.stat().st_mtime > YOUNG and FileLock(folder / LOCK).is_free():
                shutil.rmtree(folder)
                removed += 1
    if removed:
        logger.info("removed %s temporary folders of processes that are gone", removed)
    return removed
