"""The routes under ``/files``, as in OpenAI's API: files of a key and of the datasets that are granted to it."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import IO, ClassVar

from django.db.models import Prefetch, QuerySet
from django.utils.http import content_disposition_header

from files import storage
from files.models import File
from files.schemas.files import ALL_PURPOSES, PURPOSES, file_object, status_source
from files.uploads import access, deletion
from files.uploads.store import FileUpload
from files.validation import check_file_expiry
from files.views.uploads import FileUploadView, in_storage_thread
from gtapi.database import find, in_thread
from gtapi.errors import PermissionDenied, StorageUnavailable, translate
from gtapi.json_types import JSON
from gtapi.validation import missing, one_of
from gtapi.web.pagination import PageQuery, list_object
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse, StreamResponse
from tenants.views import AuthenticatedView

logger = logging.getLogger(__name__)

#: Files in a page of a list, by default too, as in OpenAI's API.
MAX_FILES = 10_000
#: Bytes that are read and sent at once.
BLOCK = 256 * 1024


class FileOwnerView(AuthenticatedView):
    """Base of routes on the files that a key may see."""

    scope = "files:read"

    def files(self, request: APIRequest) -> QuerySet[File]:
        """Return the files that the key may see on behalf of the end user in the query."""
        user = request.GET.get("user") or ""
        # PostgreSQL refuses queries that contain NUL.
        if "\0" in user:
            return File.objects.none()
        dataset_files = access.visible_dataset_files(self.auth.id).live().select_related("dataset")
        return access.readable_files(self.auth.id, self.auth.tenant_id, user).prefetch_related(
            Prefetch("dataset_files", queryset=dataset_files)
        )

    def file(self, request: APIRequest, file_id: str) -> File:
        """Return a file that the key may see.

        Raises:
            NotFound: it does not exist or the key may not see it.
        """
        file = find(self.files(request), pk=file_id)
        if file is None:
            raise access.file_not_found(file_id)
        return file


class FilesView(FileUploadView, FileOwnerView):
    route = "/files"
    scopes: ClassVar[dict[str, str]] = {"POST": "files:write"}

    async def get(self, request: APIRequest) -> JSONResponse:
        paging = PageQuery.from_request(request, default=MAX_FILES, max_limit=MAX_FILES)
        if (purpose := request.GET.get("purpose")) is not None:
            one_of(ALL_PURPOSES)("purpose", purpose)
        return JSONResponse(await in_thread(self._list, request, paging, purpose))

    def _list(self, request: APIRequest, paging: PageQuery, purpose: str | None) -> JSON:
        queryset = self.files(request)
        files, has_more = paging.paginate_rows(queryset.filter(purpose=purpose) if purpose else queryset)
        return list_object(
            [file_object(file, status_source(file.dataset_files.all()), own=False) for file in files],
            has_more,
        )

    async def post(self, request: APIRequest) -> JSONResponse:
        async with self.receive(request) as received:
            purpose = received.form.get("purpose")
            if purpose is None:
                raise missing("purpose")
            one_of(PURPOSES)("purpose", purpose)
            upload = FileUpload(
                self.auth.tenant_id,
                self.auth.id,
                File.Origin.FILES,
                received.incoming,
                purpose=purpose,
                expires_after=check_file_expiry(received.form),
                idempotency_key=received.idempotency_key,
            )
            return await self.store(upload)


class FileView(FileOwnerView):
    """One file, with the statuses of the route by which it was uploaded."""

    route = "/files/{id}"
    scopes: ClassVar[dict[str, str]] = {"DELETE": "files:write"}

    async def get(self, request: APIRequest, file_id: str) -> JSONResponse:
        return JSONResponse(await in_thread(self._get, request, file_id))

    def _get(self, request: APIRequest, file_id: str) -> JSON:
        file = self.file(request, file_id)
        return file_object(
            file, status_source(file.dataset_files.all()), own=file.origin != File.Origin.FILES
        )

    async def delete(self, request: APIRequest, file_id: str) -> JSONResponse:
        await in_thread(self._delete, request, file_id)
        return JSONResponse({"id": file_id, "object": "file", "deleted": True})

    def _delete(self, request: APIRequest, file_id: str) -> None:
        file = self.file(request, file_id)
        if not access.can_delete(file, self.auth.id):
            raise PermissionDenied(
                "This file belongs to another key. Remove it from the dataset instead of deleting it.",
                code="file_of_another_key",
            )
        deletion.delete_file(file)


class FileContentView(FileOwnerView):
    """A file's bytes as an attachment, which browsers save and never render."""

    route = "/files/{id}/content"

    async def get(self, request: APIRequest, file_id: str) -> StreamResponse:
        request.cancel_on_disconnect()
        file = await in_thread(self.file, request, file_id)
        try:
            stream, block = await in_storage_thread(_open, file.path)
        except FileNotFoundError:
            logger.warning("%s is missing in storage, or was just deleted", file_id)
            raise access.file_not_found(file_id) from None
        except Exception as error:
            raise _unreachable(error) from error
        response = StreamResponse(self._stream(stream, block), storage.safe_media_type(file.content_type))
        response.headers["content-length"] = str(file.bytes)
        response.headers["content-disposition"] = (
            content_disposition_header(as_attachment=True, filename=file.filename) or "attachment"
        )
        response.headers["x-content-type-options"] = "nosniff"
        # The admin has the same origin, so no browser may run scripts of a file.
        response.headers["content-security-policy"] = "default-src 'none'; sandbox"
        return response

    async def _stream(self, stream: IO[bytes], block: bytes) -> AsyncGenerator[bytes, None]:
        """Yield a file from this block on; its usage event is stored before the last block is sent."""
        try:
            while block:
                following = await in_storage_thread(stream.read, BLOCK)
                if not following:
                    await self.record()
                yield block
                block = following
        except (asyncio.CancelledError, GeneratorExit):
            await self.record_abandoned()
            raise
        except Exception as error:
            self.note(translate(_unreachable(error)))
            await self.record()
            raise _unreachable(error) from error
        finally:
            stream.close()


def _open(name: str) -> tuple[IO[bytes], bytes]:
    """Return an open file and its first block; reading it early means that an error can still be a response."""
    stream = storage.open_file(name)
    try:
        return stream, stream.read(BLOCK)
    except BaseException:
        stream.close()
        raise


def _unreachable(error: Exception) -> StorageUnavailable:
    return StorageUnavailable("The file cannot be read at the moment.", error)
