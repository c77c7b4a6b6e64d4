"""The routes under ``/datasets/{id}/files``: uploads straight into a dataset."""

from typing import Any, ClassVar

import orjson

from files.models import DatasetFile, File
from files.schemas.files import file_object
from files.uploads import access, deletion
from files.uploads.store import FileUpload
from files.validation import check_attributes, check_chunking, refuse_file_expiry
from files.views.base import DatasetView
from files.views.uploads import UploadView
from gtapi.database import in_thread
from gtapi.validation import invalid
from gtapi.web.multipart import MultipartForm
from gtapi.web.pagination import PageQuery, list_object
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse

JSON = dict[str, Any]
#: Characters of a field that holds JSON: more than attributes or a strategy can need.
MAX_JSON_FIELD = 64 * 1024


class DatasetFilesView(UploadView, DatasetView):
    route = "/datasets/{id}/files"
    scopes: ClassVar[dict[str, str]] = {"POST": "files:write"}

    async def get(self, request: APIRequest, dataset_id: str) -> JSONResponse:
        return JSONResponse(await in_thread(self._list, dataset_id, PageQuery.from_request(request)))

    def _list(self, dataset_id: str, paging: PageQuery) -> JSON:
        dataset_files = self.dataset(dataset_id).dataset_files.live().select_related("file", "dataset")
        found, more = paging.paginate_rows(dataset_files, key="file_id")
        return list_object(
            [file_object(dataset_file.file, dataset_file, own=False) for dataset_file in found], more
        )

    async def post(self, request: APIRequest, dataset_id: str) -> JSONResponse:
        dataset = await in_thread(self.live_dataset, dataset_id)
        async with self.received(request) as received:
            refuse_file_expiry(received.form)
            upload = FileUpload(
                self.auth.tenant_id,
                self.auth.id,
                File.Origin.DATASET,
                received.incoming,
                dataset=dataset,
                attributes=check_attributes(_json(received.form, "attributes")),
                chunking=check_chunking(_json(received.form, "chunking_strategy")),
                idempotency_key=received.idempotency_key,
            )
            return await self.kept(upload)


def _json(form: MultipartForm, name: str) -> Any:
    """Return what a field holds, written as JSON; None where it is not there."""
    text = form.get(name)
    if not text:
        return None
    if len(text) > MAX_JSON_FIELD:
        raise invalid(name, f"expected at most {MAX_JSON_FIELD:,} characters")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise invalid(name, "expected an object, written as JSON") from None
    # No database takes this character. It is in the text as an escape, if at all; texts inside other values are
    # refused with those.
    parts = [part for pair in value.items() for part in pair] if isinstance(value, dict) else []
    if any("\0" in part for part in parts if isinstance(part, str)):
        raise invalid(name, "it contains a NUL character")
    return value


class DatasetFileView(DatasetView):
    """One file of a dataset, and how far it is processed there."""

    route = "/datasets/{id}/files/{file_id}"
    scopes: ClassVar[dict[str, str]] = {"DELETE": "files:write"}

    def dataset_file(self, dataset_id: str, file_id: str) -> DatasetFile:
        """Return a file's place in a dataset that is granted to the key.

        Raises:
            NotFound: there is no such dataset, or no such file in it.
        """
        dataset_files = self.dataset(dataset_id).dataset_files.live().select_related("file", "dataset")
        # PostgreSQL takes no NUL, not even to look for one.
        found = None if "\0" in file_id else dataset_files.filter(file=file_id).first()
        if found is None:
            raise access.file_not_found(file_id)
        return found

    async def get(self, request: APIRequest, dataset_id: str, file_id: str) -> JSONResponse:
        return JSONResponse(await in_thread(self._get, dataset_id, file_id))

    def _get(self, dataset_id: str, file_id: str) -> JSON:
        dataset_file = self.dataset_file(dataset_id, file_id)
        return file_object(dataset_file.file, dataset_file, own=True)

    async def delete(self, request: APIRequest, dataset_id: str, file_id: str) -> JSONResponse:
        await in_thread(lambda: deletion.detach(self.dataset_file(dataset_id, file_id)))
        return JSONResponse({"id": file_id, "object": "file", "deleted": True})
