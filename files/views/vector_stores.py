"""The routes of vector stores: datasets, as OpenAI's clients see them."""

from typing import Any

from django.db import transaction

from files import datasets
from files.schemas.vector_stores import vector_store_object
from files.uploads import attach
from files.validation import check_chunking
from files.views.base import OneView, ShownView, shared_fields
from gtapi.database import in_thread
from gtapi.validation import invalid, of_type
from gtapi.web.pagination import PageQuery
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse

JSON = dict[str, Any]


class VectorStoresView(ShownView):
    route = "/vector_stores"
    shape = staticmethod(vector_store_object)

    async def get(self, request: APIRequest) -> JSONResponse:
        paging = PageQuery.from_request(request)
        return JSONResponse(await in_thread(lambda: self.page(self.datasets(), paging)))

    async def post(self, request: APIRequest) -> JSONResponse:
        body = await request.json(optional=True)
        fields = _fields(body)
        self.check_may_expire(fields)
        chunking = check_chunking(body.get("chunking_strategy"))
        file_ids = attach.check_ids("file_ids", body.get("file_ids"))
        return JSONResponse(await in_thread(self._create, fields, file_ids, chunking))

    @transaction.atomic
    def _create(self, fields: JSON, file_ids: list[str], chunking: JSON | None) -> JSON:
        tenant_id, key_id = self.auth.tenant_id, self.auth.id
        made = datasets.create(tenant_id, key_id, wanted=fields.get("title", ""), **fields)
        wanted = [attach.Attachment(file_id, chunking=chunking, param="file_ids") for file_id in file_ids]
        attach.attach_files(made, key_id, wanted)
        return self.whole(made)


class VectorStoreDetailView(OneView):
    route = "/vector_stores/{id}"
    shape = staticmethod(vector_store_object)
    called = "vector_store"

    async def post(self, request: APIRequest, dataset_id: str) -> JSONResponse:
        fields = _fields(await request.json())
        return JSONResponse(await in_thread(self._change, dataset_id, fields))

    @transaction.atomic
    def _change(self, dataset_id: str, fields: JSON) -> JSON:
        return self.changed(self.held(dataset_id, fields), fields)


def _fields(body: JSON) -> JSON:
    """Return the fields of a dataset that a body has, checked. OpenAI's name may be anything: it is the title."""
    fields = shared_fields(body)
    if body.get("name") is not None:
        of_type(str)("name", body["name"])
        if len(body["name"]) > datasets.MAX_TITLE:
            raise invalid("name", f"expected at most {datasets.MAX_TITLE} characters")
        fields["title"] = body["name"]
    return fields
