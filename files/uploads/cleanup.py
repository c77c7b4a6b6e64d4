"""Periodic cleanup: expired files and datasets, orphaned blobs and rows, old idempotency keys."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from files.models import Dataset, DatasetFile, File, OrphanedBlob, UploadKey
from files.uploads.deletion import delete_blobs, delete_dataset, delete_file, empty_expired_dataset
from files.uploads.store import IDEMPOTENCY_PERIOD

#: Rows younger than this may belong to an upload in progress.
GRACE_PERIOD = timedelta(hours=1)
#: Rows of a kind that are read at once.
BATCH = 500


def clean_up() -> None:
    """Run every cleanup step; each may be repeated, and run concurrently."""
    delete_expired_files()
    empty_expired_datasets()
    delete_orphaned_blobs()
    delete_orphaned_datasets()
    delete_orphaned_files()
    delete_idempotency_keys()


def delete_expired_files() -> None:
    """Delete all expired files, each in a separate transaction."""
    expired = File.objects.expired().order_by("expires_at")
    while files := list(expired[:BATCH]):
        for file in files:
            delete_file(file)


def empty_expired_datasets() -> None:
    """Delete the contents of expired datasets; the rows stay, so that clients see that they have expired."""
    filled = Dataset.objects.expired().filter(Exists(DatasetFile.objects.filter(dataset=OuterRef("pk"))))
    for dataset in filled[:BATCH]:
        empty_expired_dataset(dataset)


def delete_orphaned_blobs() -> None:
    """Delete stored bytes that belong to no file."""
    orphans = OrphanedBlob.objects.filter(created_at__lt=timezone.now() - GRACE_PERIOD).order_by("created_at")
    names = list(orphans.values_list("path", flat=True)[:BATCH])
    # An upload deletes its row in the transaction that creates its file: a row whose file exists is not an orphan.
    in_use = set(File.objects.filter(path__in=names).values_list("path", flat=True))
    OrphanedBlob.objects.filter(path__in=in_use).delete()
    delete_blobs(name for name in names if name not in in_use)


def delete_orphaned_datasets() -> None:
    """Delete hidden datasets whose conversation was deleted with its key."""
    # Conversations belong to an app above this one, so they are reached by name.
    orphans = Dataset.objects.filter(
        hidden=True, conversation=None, created_at__lt=timezone.now() - GRACE_PERIOD
    )
    for dataset in orphans[:BATCH]:
        delete_dataset(dataset)


def delete_orphaned_files() -> None:
    """Delete files that were uploaded into a dataset and are in none any more."""
    orphans = File.objects.exclude(origin=File.Origin.FILES).filter(
        dataset_files=None, created_at__lt=timezone.now() - GRACE_PERIOD
    )
    for file_id in orphans.values_list("pk", flat=True)[:BATCH]:
        with transaction.atomic():
            file = File.objects.select_for_update().filter(pk=file_id).first()
            if file is not None and not file.dataset_files.exists():
                delete_file(file)


def delete_idempotency_keys() -> None:
    """Delete the ``Idempotency-Key`` rows that are older than a day."""
    UploadKey.objects.filter(created_at__lt=timezone.now() - IDEMPOTENCY_PERIOD).delete()
