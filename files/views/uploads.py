"""What the routes share that take a file: how a form becomes a file that is kept."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from files import storage
from files.models import File
from files.schemas.files import file_object
from files.uploads.quotas import Quotas
from files.uploads.store import FileUpload, IncomingFile, StoredUpload, begin_upload, finish_upload
from gtapi.database import in_thread
from gtapi.errors import BadRequest, StorageUnavailable
from gtapi.validation import invalid, missing
from gtapi.web.multipart import MultipartForm, multipart_form
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse
from tenants.views import AuthenticatedView

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
JSON = dict[str, Any]
MAX_IDEMPOTENCY_KEY = 255
#: Storage may be slow and far away, and must not hold up the threads of the database.
_movers = ThreadPoolExecutor(max_workers=8, thread_name_prefix="storage")


async def with_storage(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run ``function``, which reads or writes storage and no database, in a thread for such work."""
    return await asyncio.get_running_loop().run_in_executor(_movers, lambda: function(*args, **kwargs))


@dataclass(frozen=True, slots=True)
class Received:
    """A form with one file in it, which lies on the disk."""

    form: MultipartForm
    incoming: IncomingFile
    idempotency_key: str


class UploadView(AuthenticatedView):
    """A route to which a file is sent."""

    @asynccontextmanager
    async def received(self, request: APIRequest) -> AsyncIterator[Received]:
        """Receive a form with one file, under the name ``file``.

        Raises:
            RequestTooLarge: the file is larger than the tenant's may be.
            BadRequest: there is no file, an empty one, or more than one.
        """
        idempotency_key = self._idempotency_key(request)
        limits = await in_thread(Quotas.of, self.auth.tenant_id)
        async with multipart_form(request, file_limit=limits.file_bytes) as form:
            yield Received(form, _only_file(form), idempotency_key)

    def _idempotency_key(self, request: APIRequest) -> str:
        given = request.header(b"idempotency-key")
        if len(given) > MAX_IDEMPOTENCY_KEY or "\0" in given:
            raise BadRequest(f"The header 'Idempotency-Key' has at most {MAX_IDEMPOTENCY_KEY} characters.")
        return given

    async def kept(self, upload: FileUpload) -> JSONResponse:
        """Keep an upload as ``uploads.keep`` does, holding no connection while bytes move, and tell of it."""
        digest = await with_storage(storage.digest, upload.incoming.path)
        name = storage.new_name()
        kept = await in_thread(begin_upload, upload, digest, name)
        if kept is None:
            await self._store(upload.incoming, name)
            kept = await in_thread(finish_upload, upload, digest, name)
        return JSONResponse(await in_thread(_told, upload, kept))

    async def _store(self, incoming: IncomingFile, name: str) -> None:
        try:
            await with_storage(storage.put, incoming.path, name)
        except Exception as error:  # each storage has errors of its own, and a disk may be full
            logger.exception("an upload cannot be stored")
            raise StorageUnavailable("The upload could not be stored. Please try again.", error) from error


def _only_file(form: MultipartForm) -> IncomingFile:
    files = [file for file in form.files if file.filename or file.size]
    if len(files) > 1:
        raise invalid("file", "expected one file, but got several")
    if not files or not form.files_of("file"):
        raise missing("file")
    (file,) = files
    if file.size == 0:
        raise invalid("file", "the file is empty")
    return IncomingFile(file.path, file.filename, file.content_type, file.size)


def _told(upload: FileUpload, kept: StoredUpload) -> JSON:
    """Return what the answer to an upload says of it, in the words of its route, whichever one the file came by."""
    return file_object(kept.file, kept.dataset_file, own=upload.origin != File.Origin.FILES)
