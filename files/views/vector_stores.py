"""The routes ``/vector_stores`` and ``/vector_stores/{id}``: datasets in OpenAI's schema."""

from django.db import transaction

from files import datasets
from files.schemas.vector_stores import vector_store_object
from files.uploads import attach
from files.validation import check_chunking
from files.views.base import BaseDatasetDetailView, DatasetObjectView, check_common_fields
from gtapi.database import in_thread
from gtapi.json_types import JSON
from gtapi.validation import invalid, of_type
from gtapi.web.pagination import PageQuery
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse


def check_fields(body: JSON) -> JSON:
    """Return the validated dataset fields of a body. OpenAI's ``name`` may be any text, so it becomes the title."""
    fields = check_common_fields(body)
    if body.get("name") is not None:
        of_type(str)("name", body["name"])
        if len(body["name"]) > datasets.MAX_TITLE:
            raise invalid("name", f"expected at most {datasets.MAX_TITLE} characters")
        fields["title"] = body["name"]
    return fields


class VectorStoresView(DatasetObjectView):
    route = "/vector_stores"
    serialize = staticmethod(vector_store_object)

    async def get(self, request: APIRequest) -> JSONResponse:
        paging = PageQuery.from_request(request)
        return JSONResponse(await in_thread(lambda: self.page(self.datasets(), paging)))

    async def post(self, request: APIRequest) -> JSONResponse:
        body = await request.json(optional=True)
        fields = check_fields(body)
        self.check_may_expire(fields)
        chunking = check_chunking(body.get("chunking_strategy"))
        file_ids = attach.check_ids("file_ids", body.get("file_ids"))
        return JSONResponse(await in_thread(self._create, fields, file_ids, chunking))

    @transaction.atomic
    def _create(self, fields: JSON, file_ids: list[str], chunking: JSON | None) -> JSON:
        tenant_id, key_id = self.auth.tenant_id, self.auth.id
        dataset = datasets.create(tenant_id, key_id, requested_name=fields.get("title", ""), **fields)
        attachments = [
            attach.Attachment(file_id, chunking=chunking, param="file_ids") for file_id in file_ids
        ]
        attach.attach_files(dataset, key_id, attachments)
        return self.dataset_object(dataset)


class VectorStoreDetailView(BaseDatasetDetailView):
    route = "/vector_stores/{id}"
    serialize = staticmethod(vector_store_object)
    object_name = "vector_store"
    check_fields = staticmethod(check_fields)
