"""Storage quotas of a tenant: file size, number of files, total bytes, files in datasets and datasets.

Callers hold ``lock_tenant`` while they count and add rows, so that concurrent requests cannot exceed a quota.
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
class Quotas:
    """The quotas of one tenant.

    Attributes:
        file_bytes: bytes of one file.
        files: stored files.
        stored_bytes: bytes of all stored files.
        dataset_files: files in datasets; a file in several datasets counts in each.
        datasets: datasets, without the hidden ones of conversations.
    """

    file_bytes: int
    files: int
    stored_bytes: int
    dataset_files: int
    datasets: int

    @classmethod
    def of(cls, tenant_id: int) -> "Quotas":
        """Return a tenant's quotas: its own values, or the installation's where it has none."""
        own = Tenant.objects.values_list(
            "max_file_bytes", "max_files", "max_stored_bytes", "max_dataset_files", "max_datasets"
        ).get(pk=tenant_id)
        defaults = (
            settings.FILES_MAX_BYTES,
            settings.FILES_MAX_COUNT,
            settings.FILES_MAX_STORED_BYTES,
            settings.FILES_MAX_DATASET_FILES,
            settings.FILES_MAX_DATASETS,
        )
        return cls(
            *(default if value is None else value for value, default in zip(own, defaults, strict=True))
        )

    def check_size(self, size: int) -> None:
        """Raise ``RequestTooLarge`` for a file that exceeds the size limit."""
        if size > self.file_bytes:
            raise RequestTooLarge(self.file_bytes, "The file")

    def check_storage(self, tenant_id: int, size: int) -> None:
        """Check that another file of ``size`` bytes fits.

        Raises:
            PermissionDenied: the limit of files or of stored bytes is reached.
        """
        used = File.objects.filter(tenant=tenant_id).order_by().aggregate(n=Count("pk"), size=Sum("bytes"))
        if used["n"] >= self.files:
            raise PermissionDenied(
                f"File limit reached ({used['n']:,} of {self.files:,}). Delete files and retry.",
                code="file_limit_reached",
            )
        if (used["size"] or 0) + size > self.stored_bytes:
            raise PermissionDenied(
                f"Storage limit reached: this file would exceed {pluralize(self.stored_bytes, 'byte')} in total."
                " Delete files and retry.",
                code="storage_limit_reached",
            )

    def check_dataset_files(self, tenant_id: int, added: int) -> None:
        """Check that ``added`` more files may be attached to datasets; each copy is chunked, embedded and stored.

        Raises:
            PermissionDenied: the limit would be exceeded.
        """
        used = DatasetFile.objects.filter(tenant=tenant_id).count()
        if used + added > self.dataset_files:
            raise PermissionDenied(
                f"Limit of files in datasets reached ({used:,} of {self.dataset_files:,}; a file counts in each of"
                " its datasets). Remove files from datasets and retry.",
                code="file_limit_reached",
            )

    def check_datasets(self, tenant_id: int) -> None:
        """Check that another dataset may be created.

        Raises:
            PermissionDenied: the limit is reached.
        """
        used = Dataset.objects.visible().filter(tenant=tenant_id).count()
        if used >= self.datasets:
            raise PermissionDenied(
                f"Dataset limit reached ({used:,} of {self.datasets:,}). Delete datasets and retry.",
                code="dataset_limit_reached",
            )


def lock_tenant(tenant_id: int) -> None:
    """Serialise transactions that add files, dataset files or datasets of a tenant; held until this one ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"files of tenant {tenant_id}"]
        )
