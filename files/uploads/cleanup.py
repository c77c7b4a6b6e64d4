"""What broken-off uploads and deletions leave behind is removed, and what has expired; none of it is in use."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from files.models import Dataset, DatasetFile, File, OrphanedBlob, UploadKey
from files.uploads import stored_files

#: An upload is never this long between its rows.
SETTLED = timedelta(hours=1)
#: Rows of a kind that are looked up at once.
BATCH = 500


def sweep() -> None:
    """Remove what is no longer needed; each step may be done twice and at the same time by two."""
    remove_expired_files()
    empty_expired_datasets()
    remove_orphaned_blobs()
    remove_hidden_datasets()
    remove_files_of_nothing()
    forget_keys()


def remove_expired_files() -> None:
    """Delete files that have expired everywhere, each in a transaction of its own, until none is left."""
    expired = File.objects.expired().order_by("expires_at")
    while files := list(expired[:BATCH]):
        for file in files:
            stored_files.remove(file)


def empty_expired_datasets() -> None:
    """Take out what is in datasets that have expired; the datasets stay, for clients to see that they have."""
    full = Dataset.objects.expired().filter(Exists(DatasetFile.objects.filter(dataset=OuterRef("pk"))))
    for dataset in full[:BATCH]:
        stored_files.empty_expired(dataset)


def remove_orphaned_blobs() -> None:
    """Remove bytes from storage that no file stands for."""
    old = OrphanedBlob.objects.filter(created_at__lt=timezone.now() - SETTLED).order_by("created_at")
    names = list(old.values_list("path", flat=True)[:BATCH])
    # An upload takes its leftover away in the transaction that makes its file: one that has a file is none.
    kept = set(File.objects.filter(path__in=names).values_list("path", flat=True))
    OrphanedBlob.objects.filter(path__in=kept).delete()
    stored_files.discard(name for name in names if name not in kept)


def remove_hidden_datasets() -> None:
    """Remove the datasets of conversations that went with their key."""
    # Conversations are of an app above this one and reached by name.
    orphans = Dataset.objects.filter(hidden=True, conversation=None, created_at__lt=timezone.now() - SETTLED)
    for dataset in orphans[:BATCH]:
        stored_files.remove_dataset(dataset)


def remove_files_of_nothing() -> None:
    """Remove files that came with a dataset which was deleted without them."""
    orphans = File.objects.exclude(origin=File.Origin.FILES).filter(
        dataset_files=None, created_at__lt=timezone.now() - SETTLED
    )
    for file_id in orphans.values_list("pk", flat=True)[:BATCH]:
        with transaction.atomic():
            file = File.objects.select_for_update().filter(pk=file_id).first()
            if file is not None and not file.dataset_files.exists():
                stored_files.remove(file)


def forget_keys() -> None:
    """Forget the ``Idempotency-Key`` of every upload that is a day old."""
    UploadKey.objects.filter(created_at__lt=timezone.now() - stored_files.REMEMBERED).delete()
