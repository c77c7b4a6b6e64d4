"""The routes of files in vector stores, singly and in batches."""

from collections.abc import AsyncGenerator, Sequence

from django.db import transaction
from django.db.models import Count, QuerySet

from files.datasets import Counts
from files.extracted_text import ExtractedText
from files.ingestion import reprocess
from files.models import Dataset, DatasetFile, FileBatch
from files.schemas.vector_stores import (
    CONTENT_BEGINNING,
    CONTENT_END,
    FILTERS,
    batch_object,
    content_parts,
    states_of,
    store_file_object,
)
from files.uploads import attach, deletion
from files.uploads.attach import Attachment
from files.validation import check_attributes, check_chunking
from files.views.base import DatasetView
from gtapi.database import find, in_thread
from gtapi.errors import NotFound
from gtapi.json_types import JSON
from gtapi.validation import invalid, missing, of_type, one_of
from gtapi.web.pagination import PageQuery, list_object
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse, StreamResponse
from tenants.streaming import metered_bytes


class StoreFileView(DatasetView):
    """Base of routes on the files of a vector store."""

    def dataset_file(self, dataset: Dataset, file_id: str) -> DatasetFile:
        """Return a file of a dataset.

        Raises:
            NotFound: the file is not in it.
        """
        dataset_files = dataset.dataset_files.live().select_related("file")
        dataset_file = find(dataset_files, file=file_id)
        if dataset_file is None:
            raise NotFound(f"There is no file '{file_id}' in this dataset.", code="file_not_found")
        return dataset_file

    def list_query(self, request: APIRequest) -> tuple[PageQuery, str]:
        """Return the requested page of a list of files, and the status that filters it."""
        status = request.GET.get("filter") or ""
        if status:
            one_of(FILTERS)("filter", status)
        return PageQuery.from_request(request), status

    def page(self, dataset_files: "QuerySet[DatasetFile]", paging: PageQuery, status: str) -> JSON:
        if status:
            dataset_files = dataset_files.filter(state__in=states_of(status))
        rows, has_more = paging.paginate_rows(dataset_files.select_related("file"), key="file")
        return list_object([store_file_object(dataset_file) for dataset_file in rows], has_more)


class StoreFilesView(StoreFileView):
    route = "/vector_stores/{id}/files"

    async def get(self, request: APIRequest, dataset_id: str) -> JSONResponse:
        return JSONResponse(await in_thread(self._list, dataset_id, *self.list_query(request)))

    def _list(self, dataset_id: str, paging: PageQuery, status: str) -> JSON:
        return self.page(self.dataset(dataset_id).dataset_files.live(), paging, status)

    async def post(self, request: APIRequest, dataset_id: str) -> JSONResponse:
        attachment = _attachment(await request.json())
        return JSONResponse(await in_thread(self._attach, dataset_id, attachment))

    @transaction.atomic
    def _attach(self, dataset_id: str, attachment: Attachment) -> JSON:
        dataset = self.live_dataset(dataset_id)
        attach.attach_files(dataset, self.auth.id, [attachment])
        return store_file_object(self.dataset_file(dataset, attachment.file_id))


class StoreFileDetailView(StoreFileView):
    route = "/vector_stores/{id}/files/{file_id}"

    async def get(self, request: APIRequest, dataset_id: str, file_id: str) -> JSONResponse:
        return JSONResponse(await in_thread(self._get, dataset_id, file_id))

    def _get(self, dataset_id: str, file_id: str) -> JSON:
        return store_file_object(self.dataset_file(self.dataset(dataset_id), file_id))

    async def post(self, request: APIRequest, dataset_id: str, file_id: str) -> JSONResponse:
        body = await request.json()
        if "attributes" not in body:
            raise missing("attributes")
        attributes = check_attributes(body["attributes"])
        return JSONResponse(await in_thread(self._change, dataset_id, file_id, attributes))

    def _change(self, dataset_id: str, file_id: str, attributes: JSON) -> JSON:
        dataset_file = self.dataset_file(self.dataset(dataset_id), file_id)
        dataset_file.attributes = attributes
        # A worker that is processing the file writes the other columns.
        dataset_file.save(update_fields=["attributes"])
        return store_file_object(dataset_file)

    async def delete(self, request: APIRequest, dataset_id: str, file_id: str) -> JSONResponse:
        await in_thread(self._delete, dataset_id, file_id)
        return JSONResponse({"id": file_id, "object": "vector_store.file.deleted", "deleted": True})

    def _delete(self, dataset_id: str, file_id: str) -> None:
        dataset_file = self.dataset_file(self.dataset(dataset_id), file_id)
        deletion.detach(dataset_file, may_delete=self.may_delete)


class StoreFileContentView(StoreFileView):
    route = "/vector_stores/{id}/files/{file_id}/content"

    async def get(self, request: APIRequest, dataset_id: str, file_id: str) -> StreamResponse:
        request.cancel_on_disconnect()
        contents, texts = await in_thread(self._begin, dataset_id, file_id)
        first = CONTENT_BEGINNING + content_parts(texts)
        rest = _remaining_parts(contents, bool(texts))
        return StreamResponse(metered_bytes(first, rest, self), "application/json")

    def _begin(self, dataset_id: str, file_id: str) -> tuple[ExtractedText, list[str]]:
        contents = ExtractedText(self.dataset_file(self.dataset(dataset_id), file_id))
        return contents, contents.batch()


async def _remaining_parts(contents: ExtractedText, started: bool) -> AsyncGenerator[bytes, None]:
    """Yield the JSON after the first texts of a file; ``started`` is false if it has none."""
    while started and (texts := await in_thread(contents.batch)):
        yield b"," + content_parts(texts)
    yield CONTENT_END


class FileBatchView(StoreFileView):
    """Base of routes on batches of files."""

    def batch(self, dataset: Dataset, batch_id: str) -> FileBatch:
        """Return a batch of files of a dataset.

        Raises:
            NotFound: it does not exist.
        """
        batch = find(dataset.batches.all(), pk=batch_id)
        if batch is None:
            raise NotFound(f"There is no batch '{batch_id}' in this dataset.", code="batch_not_found")
        return batch


class FileBatchesView(FileBatchView):
    route = "/vector_stores/{id}/file_batches"

    async def post(self, request: APIRequest, dataset_id: str) -> JSONResponse:
        attachments = _attachments(await request.json())
        return JSONResponse(await in_thread(self._create, dataset_id, attachments))

    @transaction.atomic
    def _create(self, dataset_id: str, attachments: Sequence[Attachment]) -> JSON:
        dataset = self.live_dataset(dataset_id)
        batch = FileBatch(tenant_id=dataset.tenant_id, dataset=dataset)
        attach.attach_files(dataset, self.auth.id, attachments, batch)
        return _batch_object(batch)


class FileBatchDetailView(FileBatchView):
    route = "/vector_stores/{id}/file_batches/{batch_id}"

    async def get(self, request: APIRequest, dataset_id: str, batch_id: str) -> JSONResponse:
        return JSONResponse(await in_thread(self._get, dataset_id, batch_id))

    def _get(self, dataset_id: str, batch_id: str) -> JSON:
        return _batch_object(self.batch(self.dataset(dataset_id), batch_id))


class FileBatchCancelView(FileBatchView):
    route = "/vector_stores/{id}/file_batches/{batch_id}/cancel"

    async def post(self, request: APIRequest, dataset_id: str, batch_id: str) -> JSONResponse:
        return JSONResponse(await in_thread(self._cancel, dataset_id, batch_id))

    @transaction.atomic
    def _cancel(self, dataset_id: str, batch_id: str) -> JSON:
        batch = self.batch(self.dataset(dataset_id), batch_id)
        reprocess.cancel(batch)
        return _batch_object(batch)


class FileBatchFilesView(FileBatchView):
    route = "/vector_stores/{id}/file_batches/{batch_id}/files"

    async def get(self, request: APIRequest, dataset_id: str, batch_id: str) -> JSONResponse:
        return JSONResponse(await in_thread(self._list, dataset_id, batch_id, *self.list_query(request)))

    def _list(self, dataset_id: str, batch_id: str, paging: PageQuery, status: str) -> JSON:
        batch = self.batch(self.dataset(dataset_id), batch_id)
        return self.page(batch.dataset_files.live(), paging, status)


def _batch_object(batch: FileBatch) -> JSON:
    states = batch.dataset_files.live().order_by().values_list("state").annotate(Count("pk"))
    return batch_object(batch, Counts(dict(states), 0))


def _attachment(fields: JSON, prefix: str = "") -> Attachment:
    """Return the file that a JSON object names; ``prefix`` is where the object is in the body."""
    param = f"{prefix}file_id"
    if fields.get("file_id") is None:
        raise missing(param)
    of_type(str)(param, fields["file_id"])
    attributes = fields.get("attributes")
    return Attachment(
        fields["file_id"],
        None if attributes is None else check_attributes(attributes, f"{prefix}attributes"),
        check_chunking(fields.get("chunking_strategy"), f"{prefix}chunking_strategy"),
        param,
    )


def _attachments(body: JSON) -> list[Attachment]:
    """Return the files of a batch: either ids with common settings, or objects with separate ones."""
    files = body.get("files")
    if files is None:
        if body.get("file_ids") is None:
            raise missing("file_ids")
        attachments = [
            _attachment({**body, "file_id": file_id})
            for file_id in attach.check_ids("file_ids", body["file_ids"])
        ]
    else:
        if body.get("file_ids") is not None:
            raise invalid("files", "it cannot be combined with 'file_ids'")
        of_type(list)("files", files)
        if len(files) > attach.MAX_FILES:
            raise invalid("files", f"expected at most {attach.MAX_FILES} files, but got {len(files)}")
        for at, fields in enumerate(files):
            of_type(dict)(f"files[{at}]", fields)
        named = [_attachment(fields, f"files[{at}].") for at, fields in enumerate(files)]
        attachments = list({attachment.file_id: attachment for attachment in named}.values())
    if not attachments:
        raise invalid("file_ids" if files is None else "files", "it must not be empty")
    return attachments
