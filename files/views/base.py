"""What the routes of datasets share: which dataset a request means, that its key may use it, how it is shown."""

from typing import Any, ClassVar

from django.db import transaction

from files import datasets
from files.datasets import Counts
from files.models import Dataset
from files.models.datasets import DatasetQuerySet
from files.uploads import access, deletion
from files.validation import check_dataset_expiry
from gtapi.database import in_thread
from gtapi.validation import check_metadata, invalid
from gtapi.web.pagination import PageQuery, list_object
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse
from tenants.views import AuthenticatedView

JSON = dict[str, Any]


def shared_fields(body: JSON) -> JSON:
    """Return the fields that a body has of those that a dataset and a vector store have alike, checked."""
    fields: JSON = {}
    if "metadata" in body:
        fields["metadata"] = check_metadata(body["metadata"])
    if "expires_after" in body:
        fields["expires_after"] = check_dataset_expiry(body["expires_after"])
    return fields


class DatasetView(AuthenticatedView):
    """A view of datasets, or of one: to look needs one scope, to change another."""

    scope = "datasets:read"
    scopes: ClassVar[dict[str, str]] = {"POST": "datasets:write", "DELETE": "datasets:write"}

    @property
    def may_delete(self) -> bool:
        """Whether the key may delete files, as changing a dataset can do."""
        return access.WRITE_SCOPE in self.auth.scopes

    def datasets(self) -> DatasetQuerySet:
        """Return the datasets that are granted to the key."""
        return Dataset.objects.granted_to(self.auth.id).filter(tenant=self.auth.tenant_id)

    def dataset(self, dataset_id: str, *, lock: bool = False) -> Dataset:
        """Return a dataset that is granted to the key.

        Raises:
            NotFound: there is none, whatever the reason.
        """
        rows = self.datasets()
        if lock:
            rows = rows.select_for_update(of=("self",))
        # PostgreSQL takes no NUL, not even to look for one.
        found = None if "\0" in dataset_id else rows.filter(pk=dataset_id).first()
        if found is None:
            raise access.dataset_not_found(dataset_id)
        return found

    def live_dataset(self, dataset_id: str) -> Dataset:
        """Return a dataset that is granted to the key, to search it or put something into it.

        Raises:
            NotFound: there is none, whatever the reason.
            BadRequest: it has expired.
        """
        dataset = self.dataset(dataset_id)
        access.check_not_expired(dataset)
        return dataset


class ShownView(DatasetView):
    """A view that answers with datasets, each in the view's shape."""

    @staticmethod
    def shape(dataset: Dataset, counts: Counts) -> JSON:
        """Return the object that stands for a dataset with so much in it."""
        raise NotImplementedError

    def whole(self, dataset: Dataset) -> JSON:
        return self.shape(dataset, datasets.count(dataset))

    def page(self, rows: DatasetQuerySet, paging: PageQuery) -> JSON:
        found, has_more = paging.paginate_rows(rows)
        counted = datasets.counts(dataset.pk for dataset in found)
        return list_object(
            [self.shape(one, counted.get(one.pk, datasets.NOTHING)) for one in found], has_more
        )

    def check_may_expire(self, fields: JSON) -> None:
        """Refuse to have a dataset expire for a key that may delete no files: what is uploaded into it goes, too.

        Raises:
            PermissionDenied: the key lacks the scope.
        """
        if fields.get("expires_after") is not None and not self.may_delete:
            raise access.deletion_refused("What is uploaded into a dataset is deleted when it expires")


class OneView(ShownView):
    """One dataset; ``called`` is the ``object`` of its shape."""

    called: ClassVar[str]

    def held(self, dataset_id: str, fields: JSON) -> Dataset:
        """Return a dataset that is held for a change of these fields; emptied, where they have it used again.

        Raises:
            NotFound: there is none, whatever the reason.
        """
        while True:
            before = transaction.savepoint()
            dataset = self.dataset(dataset_id, lock=True)
            if "expires_after" not in fields or not dataset.expired or not dataset.dataset_files.exists():
                return dataset
            # Whoever empties it locks its files first.
            transaction.savepoint_rollback(before)
            deletion.empty_expired_dataset(dataset)

    def changed(self, dataset: Dataset, fields: JSON) -> JSON:
        """Store what the key changes of a dataset that is held for it, and return its object."""
        self.check_may_expire(fields)
        if fields.get("expires_after") is not None and not dataset.by_client:
            raise invalid("expires_after", "an operator's dataset does not expire")
        return self.whole(datasets.change(dataset, self.auth.id, **fields))

    async def get(self, request: APIRequest, dataset_id: str) -> JSONResponse:
        return JSONResponse(await in_thread(lambda: self.whole(self.dataset(dataset_id))))

    async def delete(self, request: APIRequest, dataset_id: str) -> JSONResponse:
        await in_thread(lambda: deletion.delete_dataset(self.dataset(dataset_id), may_delete=self.may_delete))
        return JSONResponse({"id": dataset_id, "object": f"{self.called}.deleted", "deleted": True})
