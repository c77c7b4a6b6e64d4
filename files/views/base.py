"""What the routes of datasets share: which dataset a request means, and that its key may use it."""

from typing import ClassVar

from files.models import Dataset
from files.models.datasets import DatasetQuerySet
from files.uploads import no_dataset
from tenants.views import KeyedView


class DatasetView(KeyedView):
    """A view of datasets, or of one: to look needs one scope, to change another."""

    scope = "datasets:read"
    scopes: ClassVar[dict[str, str]] = {"POST": "datasets:write", "DELETE": "datasets:write"}

    @property
    def may_remove(self) -> bool:
        """Whether the key may delete files, as changing a dataset can do."""
        return "files:write" in self.auth.scopes

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
            raise no_dataset(dataset_id)
        return found
