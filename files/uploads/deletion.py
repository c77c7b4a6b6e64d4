"""Deletion of files and datasets: rows in the transaction, stored bytes after its commit.

Every transaction locks files first, in the order of their ids, and datasets afterwards; ``attach`` does the
same, so that concurrent requests cannot deadlock.
"""

from collections.abc import Iterable

from django.db import transaction
from django.db.models import Exists, OuterRef

from files import storage
from files.models import Chunk, ChunkVector, Dataset, DatasetFile, File, OrphanedBlob
from files.models.datasets import DatasetQuerySet
from files.uploads.access import deletion_refused


def delete_blobs(names: Iterable[str]) -> None:
    """Delete stored bytes that belong to no file. What cannot be deleted now is left to the cleanup task."""
    deleted = storage.delete(names)
    OrphanedBlob.objects.filter(path__in=deleted).delete()


@transaction.atomic
def delete_file(file: File) -> None:
    """Delete a file from storage and from every dataset."""
    name = file.path
    queryset = File.objects.filter(pk=file.pk)
    if queryset.select_for_update().exists():
        queryset.delete()
        transaction.on_commit(lambda: delete_blobs([name]))


@transaction.atomic
def detach(dataset_file: DatasetFile, *, may_delete: bool = True) -> None:
    """Remove a file from a dataset, and delete it if it was uploaded into a dataset and is in no other.

    Raises:
        PermissionDenied: the file would be deleted, and ``may_delete`` is false.
    """
    file = File.objects.select_for_update().filter(pk=dataset_file.file_id).first()
    if file is None:
        return
    last = file.origin != File.Origin.FILES and not file.dataset_files.exclude(pk=dataset_file.pk).exists()
    if last and not may_delete:
        raise deletion_refused(
            f"The file '{file.pk}' is in no other dataset, so this request would delete it"
        )
    DatasetFile.objects.filter(pk=dataset_file.pk).delete()
    if last:
        delete_file(file)


@transaction.atomic
def delete_dataset(dataset: Dataset, *, may_delete: bool = True) -> None:
    """Delete a dataset, and the files that were uploaded into a dataset and are in no other.

    Raises:
        PermissionDenied: there are such files, and ``may_delete`` is false.
    """
    if _lock_with_files(dataset, Dataset.objects.all()):
        _delete_contents(dataset, may_delete=may_delete)
        Dataset.objects.filter(pk=dataset.pk).delete()


@transaction.atomic
def empty_expired_dataset(dataset: Dataset) -> None:
    """Delete the contents of an expired dataset, and keep its row."""
    if _lock_with_files(dataset, Dataset.objects.expired()):
        _delete_contents(dataset)
        dataset.dataset_files.all().delete()
        dataset.batches.all().delete()


def _lock_with_files(dataset: Dataset, queryset: DatasetQuerySet) -> bool:
    """Lock a dataset, and its files that came with a dataset; return whether ``queryset`` still has the dataset."""
    # If two datasets are deleted at once, neither may leave a shared file to the other.
    files = File.objects.exclude(origin=File.Origin.FILES).filter(pk__in=dataset.dataset_files.values("file"))
    while True:
        savepoint = transaction.savepoint()
        locked = set(files.order_by("pk").select_for_update().values_list("pk", flat=True))
        if not queryset.select_for_update().filter(pk=dataset.pk).exists():
            return False
        if locked.issuperset(files.values_list("pk", flat=True)):
            return True
        # Another file was added while this transaction waited for the dataset.
        transaction.savepoint_rollback(savepoint)


def _delete_contents(dataset: Dataset, *, may_delete: bool = True) -> None:
    """Delete the chunks of a locked dataset, and the files that ``delete_dataset`` deletes with it.

    Raises:
        PermissionDenied: there are such files, and ``may_delete`` is false.
    """
    elsewhere = DatasetFile.objects.filter(file=OuterRef("pk")).exclude(dataset=dataset)
    files = File.objects.exclude(origin=File.Origin.FILES).filter(
        ~Exists(elsewhere), dataset_files__dataset=dataset
    )
    names = dict(files.values_list("pk", "path"))
    if names and not may_delete:
        raise deletion_refused(f"Files that are in no other dataset are deleted with it ({len(names):,})")
    # The database cascades to these rows too, but one by one, which takes nearly twice as long.
    for model in (ChunkVector, Chunk):
        model.objects.filter(tenant=dataset.tenant_id, dataset=dataset).delete()
    File.objects.filter(pk__in=names).delete()
    transaction.on_commit(lambda: delete_blobs(names.values()))
