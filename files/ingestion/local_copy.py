"""A file's bytes as a path, and threads that nobody has to wait for."""

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
#: Bytes that are copied at once.
PIECE = 8 * 1024 * 1024


@asynccontextmanager
async def fetched(name: str) -> AsyncIterator[Path]:
    """Give the path of a file in storage: its own where storage is a folder, else that of a copy.

    Raises TransientError where the bytes cannot be had.
    """
    try:
        path = Path(default_storage.path(name))
    except NotImplementedError:
        async with _copied(name) as copy:
            yield copy
        return
    if not await in_own_thread(path.is_file):
        logger.warning("there is no file %s in storage", name)
        raise TransientError("storage_failed")
    yield path


@asynccontextmanager
async def _copied(name: str) -> AsyncIterator[Path]:
    with tempdirs.temporary_directory(PREFIX) as folder:
        try:
            path = await in_own_thread(_copy, name, folder / "file")
        except Exception as error:
            # Each kind of storage has errors of its own.
            logger.warning("the file %s cannot be fetched: %s", name, type(error).__name__)
            raise TransientError("storage_failed") from error
        yield path


def _copy(name: str, path: Path) -> Path:
    with default_storage.open(name) as source, path.open("wb") as target:
        # Of a bucket each piece takes a request of its own.
        shutil.copyfileobj(source, target, PIECE)
    return path


def sweep() -> None:
    """Remove the copies of processes that were killed."""
    tempdirs.remove_abandoned(PREFIX)


async def in_own_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run ``function`` in a thread that the process may leave behind when it stops."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type] # there is one where there is no error

    def call() -> None:
        result, failure = None, None
        try:
            result = function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            failure = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=call, name="ingest", daemon=True).start()
    return await done
