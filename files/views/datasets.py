"""The routes of datasets as wholes."""

from typing import Any

from django.db import transaction

from files import datasets
from files.models.datasets import RESERVED
from files.schemas.datasets import dataset_object
from files.views.base import OneView, ShownView, shared_fields
from gtapi.database import in_thread
from gtapi.validation import invalid, missing, of_type
from gtapi.web.pagination import PageQuery
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse

JSON = dict[str, Any]


class DatasetsView(ShownView):
    route = "/datasets"
    shape = staticmethod(dataset_object)

    async def get(self, request: APIRequest) -> JSONResponse:
        return JSONResponse(
            await in_thread(self._list, PageQuery.from_request(request), request.GET.get("name") or "")
        )

    def _list(self, paging: PageQuery, name: str) -> JSON:
        rows = self.datasets()
        if name:
            rows = rows.filter(name=name) if "\0" not in name else rows.none()
        return self.page(rows, paging)

    async def post(self, request: APIRequest) -> JSONResponse:
        body = await request.json()
        if body.get("name") is None:
            raise missing("name")
        fields = _fields(body)
        self.check_may_expire(fields)
        return JSONResponse(await in_thread(self._create, fields))

    @transaction.atomic
    def _create(self, fields: JSON) -> JSON:
        tenant_id, key_id = self.auth.tenant_id, self.auth.id
        wanted, embedding = fields.pop("name"), fields.pop("embedding", None)
        if embedding is not None:
            datasets.check_embedding(tenant_id, key_id, embedding)
        made = datasets.create(tenant_id, key_id, wanted=wanted, embedding=embedding, **fields)
        return dataset_object(made, datasets.NOTHING)


class DatasetDetailView(OneView):
    route = "/datasets/{id}"
    shape = staticmethod(dataset_object)
    called = "dataset"

    async def post(self, request: APIRequest, dataset_id: str) -> JSONResponse:
        fields = _fields(await request.json())
        if not datasets.fits(fields.get("name", "a")):
            reserved = f"and begin with anything but '{RESERVED}'"
            raise invalid(
                "name", f"use at most 100 letters, digits, dots, dashes and underscores, {reserved}"
            )
        return JSONResponse(await in_thread(self._change, dataset_id, fields))

    @transaction.atomic
    def _change(self, dataset_id: str, fields: JSON) -> JSON:
        dataset = self.held(dataset_id, fields)
        if fields.get("name", dataset.name) != dataset.name and not dataset.by_client:
            reason = "an operator's dataset keeps its name, which agents and keys are given; change its title"
            raise invalid("name", reason)
        if fields.get("embedding", dataset.embedding) != dataset.embedding:
            datasets.check_embedding(self.auth.tenant_id, self.auth.id, fields["embedding"])
        return self.changed(dataset, fields)


def _fields(body: JSON) -> JSON:
    """Return the fields of a dataset that a body has, checked; null empties what can be empty."""
    fields = shared_fields(body)
    for name, most in (("name", datasets.MAX_TITLE), ("title", datasets.MAX_TITLE), ("embedding", 200)):
        if name in body:
            value = body[name] if body[name] is not None or name == "name" else ""
            of_type(str)(name, value)
            if len(value) > most:
                raise invalid(name, f"expected at most {most} characters, but got {len(value)}")
            fields[name] = value
    return fields
