"""Attaching stored files to a dataset: which files, and how each is chunked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from files.ingestion import reprocess
from files.ingestion.wakeup import wake
from files.models import Dataset, DatasetFile, File, FileBatch
from files.uploads.access import lock_for_adding, readable_files
from files.uploads.quotas import Quotas, lock_tenant
from gtapi.errors import NotFound
from gtapi.json_types import JSON
from gtapi.validation import invalid, of_type

State = DatasetFile.State
#: Most files that one request may attach to a dataset.
MAX_FILES = 500


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file to attach to a dataset.

    ``attributes`` None keeps the attributes it has there; ``chunking`` None uses the default. ``param`` is the
    request parameter that named the file.
    """

    file_id: str
    attributes: JSON | None = None
    chunking: JSON | None = None
    param: str = "file_id"


def check_ids(name: str, file_ids: Any) -> list[str]:
    """Return the ids of a list of files, without repetitions."""
    if file_ids is None:
        return []
    of_type(list)(name, file_ids)
    if len(file_ids) > MAX_FILES:
        raise invalid(name, f"expected at most {MAX_FILES} files, but got {len(file_ids)}")
    for at, file_id in enumerate(file_ids):
        of_type(str)(f"{name}[{at}]", file_id)
    return list(dict.fromkeys(file_ids))


def attach_files(
    dataset: Dataset, key_id: int, attachments: Sequence[Attachment], batch: FileBatch | None = None
) -> None:
    """Attach files that a key may read to a dataset, and queue them for processing; each file is named once.

    A file that the dataset already has keeps its row and takes the new attributes. It is processed again if it had
    failed or was cancelled, or if it is to be chunked differently. ``batch`` is an unsaved batch, saved with them.
    The number of statements does not depend on the number of files. Call it in a transaction.

    Raises:
        NotFound: the key may not read one of the files, or it does not exist; none is attached.
        PermissionDenied: the tenant's limit of files in datasets would be exceeded; none is attached.
    """
    ids = [attachment.file_id for attachment in attachments if "\0" not in attachment.file_id]
    files = readable_files(key_id, dataset.tenant_id).filter(pk__in=ids)
    _check_exist(attachments, files.values_list("pk", flat=True))
    lock_tenant(dataset.tenant_id)
    # Always in the same order: otherwise concurrent requests that name the same files could deadlock.
    locked = File.objects.live().filter(pk__in=ids).order_by("pk").select_for_update(no_key=True)
    _check_exist(attachments, locked.values_list("pk", flat=True))
    existing = {
        dataset_file.file_id: dataset_file for dataset_file in dataset.dataset_files.filter(file__in=ids)
    }
    new = [attachment for attachment in attachments if attachment.file_id not in existing]
    if new:
        Quotas.of(dataset.tenant_id).check_dataset_files(dataset.tenant_id, len(new))
    if batch is not None:
        # Not earlier: its foreign key locks the dataset, which every transaction locks after the files.
        batch.save(force_insert=True)
    if new:
        _add(dataset, key_id, new, batch)
    changes = [(existing[item.file_id], item) for item in attachments if item.file_id in existing]
    _change(changes, key_id, batch)


def _check_exist(attachments: Iterable[Attachment], file_ids: Iterable[str]) -> None:
    existing = set(file_ids)
    for attachment in attachments:
        if attachment.file_id not in existing:
            raise NotFound(
                f"There is no file '{attachment.file_id}'.", param=attachment.param, code="file_not_found"
            )


def _add(dataset: Dataset, key_id: int, attachments: Iterable[Attachment], batch: FileBatch | None) -> None:
    lock_for_adding(dataset)
    DatasetFile.objects.bulk_create(
        DatasetFile(
            tenant_id=dataset.tenant_id,
            dataset=dataset,
            file_id=attachment.file_id,
            batch=batch,
            requested_by_id=key_id,
            attributes=attachment.attributes or {},
            chunking=attachment.chunking,
        )
        for attachment in attachments
    )
    wake()


def _change(changes: Sequence[tuple[DatasetFile, Attachment]], key_id: int, batch: FileBatch | None) -> None:
    """Apply attachments to rows that exist; columns that do not change are not written."""
    new_attributes: list[DatasetFile] = []
    new_chunking: list[DatasetFile] = []
    failed: list[DatasetFile] = []
    for dataset_file, attachment in changes:
        if attachment.attributes is not None and dataset_file.attributes != attachment.attributes:
            dataset_file.attributes = attachment.attributes
            new_attributes.append(dataset_file)
        if attachment.chunking is not None and dataset_file.chunking != attachment.chunking:
            dataset_file.chunking = attachment.chunking
            new_chunking.append(dataset_file)
        elif dataset_file.state in (State.FAILED, State.CANCELLED):
            failed.append(dataset_file)
    if batch is None:
        changed = [*new_attributes, *new_chunking, *failed]
    else:
        changed = [dataset_file for dataset_file, _ in changes]
    if not changed:
        return
    locked = DatasetFile.objects.filter(pk__in=reprocess.lock(_rows(changed)))
    if batch is not None:
        locked.update(batch=batch)
    DatasetFile.objects.bulk_update(new_attributes, ["attributes"])
    DatasetFile.objects.bulk_update(new_chunking, ["chunking"])
    # A worker that is processing one of these would finish it with the old chunking.
    reprocess.restart(_rows(new_chunking), key_id)
    reprocess.reprocess(_rows(failed), key_id)


def _rows(dataset_files: Iterable[DatasetFile]) -> QuerySet[DatasetFile]:
    return DatasetFile.objects.filter(pk__in=[dataset_file.pk for dataset_file in dataset_files])
