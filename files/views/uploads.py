"""Base view of routes that receive a file in a multipart form and store it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from files import storage
from files.models import File
from files.schemas.files import file_object
from files.uploads.quotas import Quotas
from files.uploads.store import FileUpload, IncomingFile, StoredUpload, begin_upload, finish_upload
from gtapi.database import in_thread
from gtapi.errors import BadRequest, StorageUnavailable
from gtapi.json_types import JSON
from gtapi.validation import invalid, missing
from gtapi.web.multipart import MultipartForm, multipart_form
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse
from tenants.views import AuthenticatedView

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
MAX_IDEMPOTENCY_KEY = 255
#: Separate from the threads of the database, since storage may be slow and remote.
_storage_threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="storage")


async def in_storage_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that uses storage, and not the database, in a thread."""
    return await asyncio.get_running_loop().run_in_executor(
        _storage_threads, lambda: function(*args, **kwargs)
    )


@dataclass(frozen=True, slots=True)
class ReceivedForm:
    """A form with one file, which is on disk."""

    form: MultipartForm
    incoming: IncomingFile
    idempotency_key: str


class FileUploadView(AuthenticatedView):
    """Base of routes that receive a file."""

    @asynccontextmanager
    async def receive(self, request: APIRequest) -> AsyncIterator[ReceivedForm]:
        """Receive a form with one file, in the field ``file``.

        Raises:
            RequestTooLarge: the file exceeds the tenant's size limit.
            BadRequest: there is no file, an empty one, or more than one.
        """
        idempotency_key = self._idempotency_key(request)
        quotas = await in_thread(Quotas.of, self.auth.tenant_id)
        async with multipart_form(request, file_limit=quotas.file_bytes) as form:
            yield ReceivedForm(form, _only_file(form), idempotency_key)

    def _idempotency_key(self, request: APIRequest) -> str:
        value = request.header(b"idempotency-key")
        if len(value) > MAX_IDEMPOTENCY_KEY or "\0" in value:
            raise BadRequest(f"The header 'Idempotency-Key' has at most {MAX_IDEMPOTENCY_KEY} characters.")
        return value

    async def store(self, upload: FileUpload) -> JSONResponse:
        """Store an upload as ``store_upload`` does, without a database connection while bytes are copied."""
        digest = await in_storage_thread(storage.digest, upload.incoming.path)
        name = storage.new_name()
        stored = await in_thread(begin_upload, upload, digest, name)
        if stored is None:
            await self._put(upload.incoming, name)
            stored = await in_thread(finish_upload, upload, digest, name)
        return JSONResponse(await in_thread(_upload_object, upload, stored))

    async def _put(self, incoming: IncomingFile, name: str) -> None:
        try:
            await in_storage_thread(storage.put, incoming.path, name)
        except Exception as error:  # depends on the storage backend
            logger.exception("an upload could not be stored")
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


def _upload_object(upload: FileUpload, stored: StoredUpload) -> JSON:
    """Return the response to an upload, with the statuses of its route, whichever route the file came from."""
    return file_object(stored.file, stored.dataset_file, own=upload.origin != File.Origin.FILES)
