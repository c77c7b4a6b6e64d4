"""How much a tenant may keep: a file's size, how many files, all of them together, and where they are put.

What is counted is counted under ``alone``, so that limits hold for requests that come at once.
"""

from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.db.models import Count, Sum

from files.models import Dataset, DatasetFile, File
from gtapi.errors import PermissionDenied, RequestTooLarge
from gtapi.text import pluralize
from tenants.models import Tenant


@dataclass(frozen=True, slots=True)
class Limits:
    """What a tenant may keep: bytes of a file, files, bytes of all of them, places in datasets, and datasets."""

    file_bytes: int
    files: int
    stored_bytes: int
    places: int
    datasets: int

    @classmethod
    def of(cls, tenant_id: int) -> "Limits":
        """Return a tenant's limits; where it has none of its own they are the installation's."""
        own = Tenant.objects.values_list(
            "max_file_bytes", "max_files", "max_stored_bytes", "max_places", "max_datasets"
        ).get(pk=tenant_id)
        general = (
            settings.FILES_MAX_BYTES,
            settings.FILES_MAX_COUNT,
            settings.FILES_MAX_STORED_BYTES,
            settings.FILES_MAX_PLACES,
            settings.FILES_MAX_DATASETS,
        )
        return cls(*(least if mine is None else mine for mine, least in zip(own, general, strict=True)))

    def check_size(self, size: int) -> None:
        """Raise ``RequestTooLarge`` for a file that is larger than any may be."""
        if size > self.file_bytes:
            raise RequestTooLarge(self.file_bytes, "The file")

    def check_room(self, tenant_id: int, size: int) -> None:
        """Refuse a file of ``size`` bytes where there is no room for it.

        Raises:
            PermissionDenied: the tenant has as many files as it may, or they would be too large together.
        """
        used = File.objects.filter(tenant=tenant_id).order_by().aggregate(n=Count("pk"), size=Sum("bytes"))
        if used["n"] >= self.files:
            raise PermissionDenied(
                f"The limit is {pluralize(self.files, 'file')}, and {pluralize(used['n'], 'is,are')} there already"
                ". Delete some first.",
                code="file_limit_reached",
            )
        if (used["size"] or 0) + size > self.stored_bytes:
            raise PermissionDenied(
                f"With this file all files would be larger than the limit of {pluralize(self.stored_bytes, 'byte')}"
                " together. Delete some first.",
                code="storage_limit_reached",
            )

    def check_places(self, tenant_id: int, more: int) -> None:
        """Refuse to put files into datasets ``more`` times; each time a file is cut, embedded and kept anew.

        Raises:
            PermissionDenied: they would be in datasets more often than a tenant's may be.
        """
        used = DatasetFile.objects.filter(tenant=tenant_id).count()
        if used + more > self.places:
            raise PermissionDenied(
                f"The limit is {pluralize(self.places, 'file')} in datasets, one that is in several counted in each"
                f", and {pluralize(used, 'is,are')} there already. Take some out first.",
                code="file_limit_reached",
            )

    def check_datasets(self, tenant_id: int) -> None:
        """Refuse another dataset where there are as many as there may be; those of conversations are not counted.

        Raises:
            PermissionDenied: the tenant has too many.
        """
        used = Dataset.objects.visible().filter(tenant=tenant_id).count()
        if used >= self.datasets:
            raise PermissionDenied(
                f"The limit is {pluralize(self.datasets, 'dataset')}, and {pluralize(used, 'is,are')} there already"
                ". Delete some first.",
                code="dataset_limit_reached",
            )


def alone(tenant_id: int) -> None:
    """Wait until no other transaction of the tenant adds files, places or datasets; held until this one ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"files of tenant {tenant_id}"]
        )
