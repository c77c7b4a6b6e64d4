"""Base views of dataset routes: datasets that a key may use, their JSON objects, retrieve, update and delete."""

from typing import ClassVar

from django.db import transaction

from files import datasets
from files.datasets import Counts
from files.models import Dataset
from files.models.datasets import DatasetQuerySet
from files.uploads import access, deletion
from files.validation import check_dataset_expiry
from gtapi.database import find, in_thread
from gtapi.json_types import JSON
from gtapi.validation import check_metadata, invalid
from gtapi.web.pagination import PageQuery, list_object
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse
from tenants.views import AuthenticatedView


def check_common_fields(body: JSON) -> JSON:
    """Return the validated fields of a body that datasets and vector stores have in common."""
    fields: JSON = {}
    if "metadata" in body:
        fields["metadata"] = check_metadata(body["metadata"])
    if "expires_after" in body:
        fields["expires_after"] = check_dataset_expiry(body["expires_after"])
    return fields


class DatasetView(AuthenticatedView):
    """Base of routes on datasets. Reading and changing need different scopes."""

    scope = "datasets:read"
    scopes: ClassVar[dict[str, str]] = {"POST": "datasets:write", "DELETE": "datasets:write"}

    @property
    def may_delete(self) -> bool:
        """Whether the key may delete files, which a change of a dataset can entail."""
        return access.WRITE_SCOPE in self.auth.scopes

    def datasets(self) -> DatasetQuerySet:
        """Return the datasets that are granted to the key."""
        return Dataset.objects.granted_to(self.auth.id).filter(tenant=self.auth.tenant_id)

    def dataset(self, dataset_id: str, *, lock: bool = False) -> Dataset:
        """Return a dataset that is granted to the key.

        Raises:
            NotFound: it does not exist or is not granted.
        """
        queryset = self.datasets()
        if lock:
            queryset = queryset.select_for_update(of=("self",))
        dataset = find(queryset, pk=dataset_id)
        if dataset is None:
            raise access.dataset_not_found(dataset_id)
        return dataset

    def live_dataset(self, dataset_id: str) -> Dataset:
        """Return a dataset that is granted to the key, to search it or to add files.

        Raises:
            NotFound: it does not exist or is not granted.
            BadRequest: it has expired.
        """
        dataset = self.dataset(dataset_id)
        access.check_not_expired(dataset)
        return dataset


class DatasetObjectView(DatasetView):
    """Base of routes that return datasets; ``serialize`` gives them our schema or that of vector stores."""

    @staticmethod
    def serialize(dataset: Dataset, counts: Counts) -> JSON:
        """Return the JSON object of a dataset with these counts of files."""
        raise NotImplementedError

    def dataset_object(self, dataset: Dataset) -> JSON:
        return self.serialize(dataset, datasets.count(dataset))

    def page(self, queryset: DatasetQuerySet, paging: PageQuery) -> JSON:
        rows, has_more = paging.paginate_rows(queryset)
        counts = datasets.counts(dataset.pk for dataset in rows)
        return list_object(
            [self.serialize(dataset, counts.get(dataset.pk, datasets.NOTHING)) for dataset in rows], has_more
        )

    def check_may_expire(self, fields: JSON) -> None:
        """Refuse an expiry set by a key that may not delete files: files expire with their dataset.

        Raises:
            PermissionDenied: the key lacks the scope.
        """
        if fields.get("expires_after") is not None and not self.may_delete:
            raise access.deletion_refused("What is uploaded into a dataset is deleted when it expires")


class BaseDatasetDetailView(DatasetObjectView):
    """Base of routes on one dataset; ``object_name`` is the ``object`` of its schema."""

    object_name: ClassVar[str]

    @staticmethod
    def check_fields(body: JSON) -> JSON:
        """Return the validated fields of a body that updates a dataset."""
        raise NotImplementedError

    async def get(self, request: APIRequest, dataset_id: str) -> JSONResponse:
        return JSONResponse(await in_thread(lambda: self.dataset_object(self.dataset(dataset_id))))

    async def post(self, request: APIRequest, dataset_id: str) -> JSONResponse:
        fields = self.check_fields(await request.json())
        return JSONResponse(await in_thread(self._update, dataset_id, fields))

    async def delete(self, request: APIRequest, dataset_id: str) -> JSONResponse:
        await in_thread(lambda: deletion.delete_dataset(self.dataset(dataset_id), may_delete=self.may_delete))
        return JSONResponse({"id": dataset_id, "object": f"{self.object_name}.deleted", "deleted": True})

    @transaction.atomic
    def _update(self, dataset_id: str, fields: JSON) -> JSON:
        dataset = self._lock_for_update(dataset_id, fields)
        self.check_update(dataset, fields)
        return self.dataset_object(datasets.change(dataset, self.auth.id, **fields))

    def check_update(self, dataset: Dataset, fields: JSON) -> None:
        """Refuse changes that the key may not make to a locked dataset."""
        self.check_may_expire(fields)
        if fields.get("expires_after") is not None and not dataset.by_client:
            raise invalid("expires_after", "an operator's dataset does not expire")

    def _lock_for_update(self, dataset_id: str, fields: JSON) -> Dataset:
        """Return a locked dataset. If ``fields`` revive an expired one, its old contents are deleted first.

        Raises:
            NotFound: it does not exist or is not granted.
        """
        while True:
            savepoint = transaction.savepoint()
            dataset = self.dataset(dataset_id, lock=True)
            if "expires_after" not in fields or not dataset.expired or not dataset.dataset_files.exists():
                return dataset
            # Emptying it locks its files first, so the dataset must be unlocked for that.
            transaction.savepoint_rollback(savepoint)
            deletion.empty_expired_dataset(dataset)
