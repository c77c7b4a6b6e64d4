"""The routes of datasets as wholes."""

from typing import Any

from django.db import transaction

from files import datasets, uploads
from files.dataset_shapes import dataset_object
from files.models import Dataset
from files.models.datasets import RESERVED
from files.views.base import DatasetView
from gtapi.checks import check_metadata, invalid, missing, of_type
from gtapi.database import in_thread
from gtapi.pagination import Paging, page
from gtapi.request import APIRequest
from gtapi.responses import JSONResponse

JSON = dict[str, Any]


class DatasetsView(DatasetView):
    route = "/datasets"

    async def get(self, request: APIRequest) -> JSONResponse:
        return JSONResponse(await in_thread(self._list, Paging.of(request), request.GET.get("name") or ""))

    def _list(self, paging: Paging, name: str) -> JSON:
        rows = self.datasets()
        if name:
            rows = rows.filter(name=name) if "\0" not in name else rows.none()
        found, has_more = paging.select(rows)
        counted = datasets.counts(dataset.pk for dataset in found)
        return page(
            [dataset_object(dataset, counted.get(dataset.pk, datasets.NOTHING)) for dataset in found],
            has_more,
        )

    async def post(self, request: APIRequest) -> JSONResponse:
        body = await request.json()
        if body.get("name") is None:
            raise missing("name")
        return JSONResponse(await in_thread(self._create, _fields(body)))

    @transaction.atomic
    def _create(self, fields: JSON) -> JSON:
        tenant_id, key_id = self.auth.tenant_id, self.auth.id
        wanted, embedding = fields.pop("name"), fields.pop("embedding", None)
        if embedding is not None:
            datasets.check_embedding(tenant_id, key_id, embedding)
        made = datasets.create(tenant_id, key_id, wanted=wanted, embedding=embedding, **fields)
        return dataset_object(made, datasets.NOTHING)


class DatasetDetailView(DatasetView):
    route = "/datasets/{id}"

    async def get(self, request: APIRequest, dataset_id: str) -> JSONResponse:
        return JSONResponse(await in_thread(self._get, dataset_id))

    def _get(self, dataset_id: str) -> JSON:
        return _whole(self.dataset(dataset_id))

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
        dataset = self.dataset(dataset_id, lock=True)
        if fields.get("name", dataset.name) != dataset.name and not dataset.by_client:
            reason = "an operator's dataset keeps its name, which agents and keys are given; change its title"
            raise invalid("name", reason)
        if fields.get("embedding", dataset.embedding) != dataset.embedding:
            datasets.check_embedding(self.auth.tenant_id, self.auth.id, fields["embedding"])
        return _whole(datasets.change(dataset, self.auth.id, **fields))

    async def delete(self, request: APIRequest, dataset_id: str) -> JSONResponse:
        await in_thread(self._delete, dataset_id)
        return JSONResponse({"id": dataset_id, "object": "dataset.deleted", "deleted": True})

    def _delete(self, dataset_id: str) -> None:
        uploads.remove_dataset(self.dataset(dataset_id), may_remove=self.may_remove)


def _whole(dataset: Dataset) -> JSON:
    return dataset_object(dataset, datasets.count(dataset))


def _fields(body: JSON) -> JSON:
    """Return the fields of a dataset that a body has, checked; null empties what can be empty."""
    fields: JSON = {}
    for name, most in (("name", datasets.MAX_TITLE), ("title", datasets.MAX_TITLE), ("embedding", 200)):
        if name in body:
            value = body[name] if body[name] is not None or name == "name" else ""
            of_type(str)(name, value)
            if len(value) > most:
                raise invalid(name, f"expected at most {most} characters, but got {len(value)}")
            fields[name] = value
    if "metadata" in body:
        fields["metadata"] = check_metadata(body["metadata"])
    return fields
