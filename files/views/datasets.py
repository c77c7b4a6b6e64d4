"""The routes ``/datasets`` and ``/datasets/{id}``."""

from django.db import transaction

from files import datasets
from files.models import Dataset
from files.models.datasets import RESERVED
from files.schemas.datasets import dataset_object
from files.views.base import BaseDatasetDetailView, DatasetObjectView, check_common_fields
from gtapi.database import in_thread
from gtapi.json_types import JSON
from gtapi.validation import invalid, missing, of_type
from gtapi.web.pagination import PageQuery
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse

MAX_EMBEDDING = 200


class DatasetsView(DatasetObjectView):
    route = "/datasets"
    serialize = staticmethod(dataset_object)

    async def get(self, request: APIRequest) -> JSONResponse:
        return JSONResponse(
            await in_thread(self._list, PageQuery.from_request(request), request.GET.get("name") or "")
        )

    def _list(self, paging: PageQuery, name: str) -> JSON:
        queryset = self.datasets()
        if name:
            queryset = queryset.filter(name=name) if "\0" not in name else queryset.none()
        return self.page(queryset, paging)

    async def post(self, request: APIRequest) -> JSONResponse:
        body = await request.json()
        if body.get("name") is None:
            raise missing("name")
        fields = _check_fields(body)
        self.check_may_expire(fields)
        return JSONResponse(await in_thread(self._create, fields))

    @transaction.atomic
    def _create(self, fields: JSON) -> JSON:
        tenant_id, key_id = self.auth.tenant_id, self.auth.id
        requested_name, embedding = fields.pop("name"), fields.pop("embedding", None)
        if embedding is not None:
            datasets.check_embedding(tenant_id, key_id, embedding)
        dataset = datasets.create(
            tenant_id, key_id, requested_name=requested_name, embedding=embedding, **fields
        )
        return dataset_object(dataset, datasets.NOTHING)


class DatasetDetailView(BaseDatasetDetailView):
    route = "/datasets/{id}"
    serialize = staticmethod(dataset_object)
    object_name = "dataset"

    @staticmethod
    def check_fields(body: JSON) -> JSON:
        """Return the validated fields of a body that updates a dataset; a new name must be valid as it is."""
        fields = _check_fields(body)
        if "name" in fields and not datasets.is_valid_name(fields["name"]):
            raise invalid(
                "name",
                "use at most 100 letters, digits, dots, dashes and underscores, and do not begin with"
                f" '{RESERVED}'",
            )
        return fields

    def check_update(self, dataset: Dataset, fields: JSON) -> None:
        """Refuse a new name of an operator's dataset, and an embedding that the key may not call."""
        if fields.get("name", dataset.name) != dataset.name and not dataset.by_client:
            raise invalid(
                "name", "an operator's dataset cannot be renamed, since agents use its name; change its title"
            )
        if fields.get("embedding", dataset.embedding) != dataset.embedding:
            datasets.check_embedding(self.auth.tenant_id, self.auth.id, fields["embedding"])
        super().check_update(dataset, fields)


def _check_fields(body: JSON) -> JSON:
    """Return the validated fields of a dataset in a body; null clears a field that may be empty."""
    fields = check_common_fields(body)
    for name, most in (
        ("name", datasets.MAX_TITLE),
        ("title", datasets.MAX_TITLE),
        ("embedding", MAX_EMBEDDING),
    ):
        if name in body:
            value = body[name] if body[name] is not None or name == "name" else ""
            of_type(str)(name, value)
            if len(value) > most:
                raise invalid(name, f"expected at most {most} characters, but got {len(value)}")
            fields[name] = value
    return fields
