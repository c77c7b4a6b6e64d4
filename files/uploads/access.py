"""Access to files and datasets: which ones a key may see or delete, and the errors for those it may not."""

from django.db.models import Exists, OuterRef, Q, QuerySet

from files.models import Dataset, DatasetFile, File
from files.models.files import DatasetFileQuerySet
from gtapi.errors import BadRequest, NotFound, PermissionDenied

#: The scope that a key needs to upload or delete files, on any route.
WRITE_SCOPE = "files:write"


def file_not_found(file_id: str) -> NotFound:
    """Return the error for a file that does not exist or that the key may not see."""
    return NotFound(f"There is no file '{file_id}'.", code="file_not_found")


def dataset_not_found(dataset_id: str) -> NotFound:
    """Return the error for a dataset that does not exist or that is not granted to the key."""
    return NotFound(
        f"The dataset '{dataset_id}' does not exist or you do not have access to it.",
        code="dataset_not_found",
    )


def deletion_refused(reason: str) -> PermissionDenied:
    """Return the error for a request that would delete files, sent with a key that lacks the scope."""
    return PermissionDenied(f"{reason}. This API key lacks the scope '{WRITE_SCOPE}', which is required.")


def check_not_expired(dataset: Dataset) -> None:
    """Raise ``BadRequest`` for a dataset that has expired: it cannot be searched or filled."""
    if dataset.expired:
        raise BadRequest(
            f"The dataset '{dataset.pk}' has expired and its contents were deleted. Change 'expires_after' to"
            " use it again, or delete it.",
            code="dataset_expired",
        )


def readable_files(key_id: int, tenant_id: int, user: str = "") -> QuerySet[File]:
    """Return the unexpired files that a key may see.

    These are the files that it uploaded directly or into its conversations, and the files of datasets that are
    granted to it. Of conversations that belong to an end user, only those of ``user`` count.
    """
    dataset_files = DatasetFile.objects.live().filter(file=OuterRef("pk"))
    granted = dataset_files.filter(dataset__hidden=False, dataset__grants__key=key_id)
    # Conversations belong to an app above this one, so they are reached by name.
    in_conversation = dataset_files.filter(
        dataset__conversation__key=key_id, dataset__conversation__user__in=["", user]
    )
    return File.objects.live().filter(
        Q(origin=File.Origin.FILES, key=key_id)
        | Q(Exists(in_conversation), origin=File.Origin.CONVERSATION)
        | Q(Exists(granted)),
        tenant=tenant_id,
    )


def visible_dataset_files(key_id: int) -> DatasetFileQuerySet:
    """Return the dataset files in datasets that are granted to a key, and in its conversations."""
    return DatasetFile.objects.filter(
        Q(dataset__hidden=False, dataset__grants__key=key_id) | Q(dataset__conversation__key=key_id)
    )


def can_delete(file: File, key_id: int) -> bool:
    """Return whether a key that can see a file may delete it.

    The key uploaded it, or it was uploaded into a dataset and all its datasets are granted to the key.
    """
    if file.origin != File.Origin.DATASET:
        return file.key_id == key_id
    return not DatasetFile.objects.filter(file=file).exclude(pk__in=visible_dataset_files(key_id)).exists()


def lock_for_adding(dataset: Dataset) -> None:
    """Lock a dataset against deletion until the transaction ends, and record it as active.

    Raises:
        NotFound: it has been deleted.
        BadRequest: it has expired.
    """
    queryset = Dataset.objects.filter(pk=dataset.pk)
    locked = queryset.select_for_update(no_key=True).first()
    if locked is None:
        raise dataset_not_found(dataset.pk)
    check_not_expired(locked)
    if locked.activity_is_due:
        queryset.note_activity()
