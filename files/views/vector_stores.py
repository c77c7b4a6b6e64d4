"""The routes of vector stores: datasets, as OpenAI's clients see them."""

from typing import Any

from django.db import transaction

from files import datasets, placing, uploads
from files.checks import check_chunking, check_dataset_expiry
from files.models import Dataset, File
from files.vector_store_shapes import vector_store_object
from files.views.base import OneView, ShownView
from gtapi.checks import check_metadata, invalid, of_type
from gtapi.database import in_thread
from gtapi.pagination import Paging
from gtapi.request import APIRequest
from gtapi.responses import JSONResponse

JSON = dict[str, Any]


class VectorStoresView(ShownView):
    route = "/vector_stores"
    shape = staticmethod(vector_store_object)

    async def get(self, request: APIRequest) -> JSONResponse:
        paging = Paging.of(request)
        return JSONResponse(await in_thread(lambda: self.page(self.datasets(), paging)))

    async def post(self, request: APIRequest) -> JSONResponse:
        body = await request.json(optional=True)
        fields = _fields(body)
        chunking = check_chunking(body.get("chunking_strategy"))
        file_ids = placing.check_ids("file_ids", body.get("file_ids"))
        return JSONResponse(await in_thread(self._create, fields, file_ids, chunking))

    @transaction.atomic
    def _create(self, fields: JSON, file_ids: list[str], chunking: JSON | None) -> JSON:
        tenant_id, key_id = self.auth.tenant_id, self.auth.id
        made = datasets.create(tenant_id, key_id, wanted=fields.get("title", ""), **fields)
        wanted = [placing.Wanted(file_id, chunking=chunking, param="file_ids") for file_id in file_ids]
        placing.place(made, key_id, wanted)
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
        dataset = self.dataset(dataset_id, lock=True)
        if fields.get("expires_after") is not None:
            self._check_may_expire(dataset)
        return self.whole(datasets.change(dataset, self.auth.id, **fields))

    def _check_may_expire(self, dataset: Dataset) -> None:
        """Refuse to have a dataset expire that operators rely on, or with files that the key may not delete."""
        if not dataset.by_client:
            raise invalid("expires_after", "an operator's dataset does not expire")
        if not self.may_remove and dataset.places.exclude(file__origin=File.Origin.FILES).exists():
            raise uploads.no_removal("Files that came with the dataset are deleted when it expires")


def _fields(body: JSON) -> JSON:
    """Return the fields of a dataset that a body has, checked. OpenAI's name may be anything: it is the title."""
    fields: JSON = {}
    if body.get("name") is not None:
        of_type(str)("name", body["name"])
        if len(body["name"]) > datasets.MAX_TITLE:
            raise invalid("name", f"expected at most {datasets.MAX_TITLE} characters")
        fields["title"] = body["name"]
    if "metadata" in body:
        fields["metadata"] = check_metadata(body["metadata"])
    if "expires_after" in body:
        fields["expires_after"] = check_dataset_expiry(body["expires_after"])
    return fields
