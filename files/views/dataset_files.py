"""The routes under ``/datasets/{id}/files``: upload into a dataset, list, retrieve and remove its files."""

from typing import Any, ClassVar

import orjson

from files.models import DatasetFile, File
from files.schemas.files import file_object
from files.uploads import access, deletion
from files.uploads.store import FileUpload
from files.validation import check_attributes, check_chunking, refuse_file_expiry
from files.views.base import DatasetView
from files.views.uploads import FileUploadView
from gtapi.database import find, in_thread
from gtapi.json_types import JSON
from gtapi.validation import invalid
from gtapi.web.multipart import MultipartForm
from gtapi.web.pagination import PageQuery, list_object
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse

#: Characters of a form field that holds JSON; attributes and chunking strategies need fewer.
MAX_JSON_FIELD = 64 * 1024


class DatasetFilesView(FileUploadView, DatasetView):
    route = "/datasets/{id}/files"
    scopes: ClassVar[dict[str, str]] = {"POST": "files:write"}

    async def get(self, request: APIRequest, dataset_id: str) -> JSONResponse:
        return JSONResponse(await in_thread(self._list, dataset_id, PageQuery.from_request(request)))

    def _list(self, dataset_id: str, paging: PageQuery) -> JSON:
        dataset_files = self.dataset(dataset_id).dataset_files.live().select_related("file", "dataset")
        rows, has_more = paging.paginate_rows(dataset_files, key="file_id")
        return list_object(
            [file_object(dataset_file.file, dataset_file, own=False) for dataset_file in rows], has_more
        )

    async def post(self, request: APIRequest, dataset_id: str) -> JSONResponse:
        dataset = await in_thread(self.live_dataset, dataset_id)
        async with self.receive(request) as received:
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
            return await self.store(upload)


def _json(form: MultipartForm, name: str) -> Any:
    """Return the JSON value of a form field; None if it is missing or empty."""
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
    """One file of a dataset and the state of its processing."""

    route = "/datasets/{id}/files/{file_id}"
    scopes: ClassVar[dict[str, str]] = {"DELETE": "files:write"}

    def dataset_file(self, dataset_id: str, file_id: str) -> DatasetFile:
        """Return a file in a dataset that is granted to the key.

        Raises:
            NotFound: the dataset does not exist or is not granted, or the file is not in it.
        """
        dataset_files = self.dataset(dataset_id).dataset_files.live().select_related("file", "dataset")
        dataset_file = find(dataset_files, file=file_id)
        if dataset_file is None:
            raise access.file_not_found(file_id)
        return dataset_file

    async def get(self, request: APIRequest, dataset_id: str, file_id: str) -> JSONResponse:
        return JSONResponse(await in_thread(self._get, dataset_id, file_id))

    def _get(self, dataset_id: str, file_id: str) -> JSON:
        dataset_file = self.dataset_file(dataset_id, file_id)
        return file_object(dataset_file.file, dataset_file, own=True)

    async def delete(self, request: APIRequest, dataset_id: str, file_id: str) -> JSONResponse:
        await in_thread(lambda: deletion.detach(self.dataset_file(dataset_id, file_id)))
        return JSONResponse({"id": file_id, "object": "file", "deleted": True})
