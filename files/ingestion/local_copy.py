"""Local copies of stored files, and threads that a stopping process does not wait for."""

import asyncio
import logging
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from django.core.files.storage import default_storage

from files.ingestion.errors import TransientError
from gtapi import tempdirs

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

PREFIX = "gtapi-ingest-"
#: Bytes that are copied at a time; each read of a bucket is a request.
COPY_BYTES = 8 * 1024 * 1024


@asynccontextmanager
async def local_path(name: str) -> AsyncIterator[Path]:
    """Yield the path of a stored file: in the storage folder, or of a temporary copy from the bucket.

    Raises TransientError if the file cannot be read.
    """
    try:
        path = Path(default_storage.path(name))
    except NotImplementedError:
        async with _copy(name) as copy:
            yield copy
        return
    if not await in_own_thread(path.is_file):
        logger.warning("File %s is missing from storage.", name)
        raise TransientError("storage_failed")
    yield path


@asynccontextmanager
async def _copy(name: str) -> AsyncIterator[Path]:
    with tempdirs.temporary_directory(PREFIX) as folder:
        try:
            path = await in_own_thread(_download, name, folder / "file")
        except Exception as error:
            # Each storage backend raises different errors.
            logger.warning("File %s cannot be read from storage: %s.", name, type(error).__name__)
            raise TransientError("storage_failed") from error
        yield path


def _download(name: str, path: Path) -> Path:
    with default_storage.open(name) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target, COPY_BYTES)
    return path


def sweep() -> None:
    """Remove copies that killed processes left."""
    tempdirs.remove_abandoned(PREFIX)


async def in_own_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run ``function`` in a daemon thread: a process that stops does not wait for it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type] # a result exists unless there is an error

    def call() -> None:
        result, failure = None, None
        try:
            result = function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            failure = error
        with suppress(RuntimeError):  # the loop is closed, so the result is not needed
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=call, name="ingest", daemon=True).start()
    return await done
