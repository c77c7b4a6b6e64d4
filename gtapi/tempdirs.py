"""Temporary folders that can be cleaned up after their process was killed."""

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
#: Age in seconds below which a folder is not removed: it may not be locked yet.
MIN_AGE = 60.0


@contextmanager
def temporary_directory(prefix: str) -> Iterator[Path]:
    """Create a folder that is removed when the context ends. Until then this process holds its lock.

    Raises:
        OSError: the folder cannot be created.
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
    """Remove the folders of processes that no longer exist, and return how many.

    The kernel releases a lock when its holder dies, so folders of live processes are kept, however old they are.
    """
    removed = 0
    for folder in Path(settings.UPLOAD_TEMP_DIR or tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(OSError):  # owned by another user, or already removed
            if time.time() - folder.stat().st_mtime > MIN_AGE and FileLock(folder / LOCK).is_free():
                shutil.rmtree(folder)
                removed += 1
    if removed:
        logger.info("removed %s temporary folders of ended processes", removed)
    return removed
