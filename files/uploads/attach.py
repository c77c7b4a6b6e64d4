"""Files that clients put into datasets: which ones, and in which way."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from files.ingestion import reprocess
from files.ingestion.wakeup import wake
from files.models import Dataset, DatasetFile, File, FileBatch
from files.uploads import quotas, stored_files
from files.uploads.quotas import Quotas
from gtapi.errors import NotFound
from gtapi.validation import invalid, of_type

JSON = dict[str, Any]
State = DatasetFile.State
#: Most files that are put into a dataset by one request.
MAX_FILES = 500


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that is to be in a dataset.

    ``attributes`` None leaves those that it has there; ``chunking`` None leaves to us how it is cut. ``param`` is
    where the client named it.
    """

    file_id: str
    attributes: JSON | None = None
    chunking: JSON | None = None
    param: str = "file_id"


def check_ids(name: str, file_ids: Any) -> list[str]:
    """Return ids of files, each once."""
    if file_ids is None:
        return []
    of_type(list)(name, file_ids)
    if len(file_ids) > MAX_FILES:
        raise invalid(name, f"expected at most {MAX_FILES} files, but got {len(file_ids)}")
    for at, file_id in enumerate(file_ids):
        of_type(str)(f"{name}[{at}]", file_id)
    return list(dict.fromkeys(file_ids))


def attach(
    dataset: Dataset, key_id: int, wanted: Sequence[Attachment], batch: FileBatch | None = None
) -> None:
    """Put files that a key may read, each named once, into a dataset, and have them processed there.

    One that is there already stays, with the attributes of this time, and is processed again where it had failed or
    was cancelled, or is to be cut in another way. ``batch`` is a new one, which is stored with them. However many
    files there are, it takes the same few statements. To be called in a transaction.

    Raises:
        NotFound: the key may not read one of them, or there is no such file; none is placed then.
        PermissionDenied: the tenant's files would be in datasets too often; none is placed then, either.
    """
    ids = [one.file_id for one in wanted if "\0" not in one.file_id]
    files = stored_files.readable(key_id, dataset.tenant_id).filter(pk__in=ids)
    _check(wanted, files.values_list("pk", flat=True))
    quotas.lock_tenant(dataset.tenant_id)
    # In one order for everybody: requests that name the same files would wait for each other for ever.
    locked = File.objects.live().filter(pk__in=ids).order_by("pk").select_for_update(no_key=True)
    _check(wanted, locked.values_list("pk", flat=True))
    found = {
        dataset_file.file_id: dataset_file for dataset_file in dataset.dataset_files.filter(file__in=ids)
    }
    new = [one for one in wanted if one.file_id not in found]
    if new:
        Quotas.of(dataset.tenant_id).check_dataset_files(dataset.tenant_id, len(new))
    if batch is not None:
        # Only now, since its row holds the dataset, which everybody locks after files.
        batch.save(force_insert=True)
    if new:
        _add(dataset, key_id, new, batch)
    _change([(found[one.file_id], one) for one in wanted if one.file_id in found], key_id, batch)


def _check(wanted: Iterable[Attachment], file_ids: Iterable[str]) -> None:
    there = set(file_ids)
    for one in wanted:
        if one.file_id not in there:
            raise NotFound(f"There is no file '{one.file_id}'.", param=one.param, code="file_not_found")


def _add(dataset: Dataset, key_id: int, wanted: Iterable[Attachment], batch: FileBatch | None) -> None:
    stored_files.hold_dataset(dataset)
    DatasetFile.objects.bulk_create(
        DatasetFile(
            tenant_id=dataset.tenant_id,
            dataset=dataset,
            file_id=one.file_id,
            batch=batch,
            requested_by_id=key_id,
            attributes=one.attributes or {},
            chunking=one.chunking,
        )
        for one in wanted
    )
    wake()


def _change(found: Sequence[tuple[DatasetFile, Attachment]], key_id: int, batch: FileBatch | None) -> None:
    """Make places that are there what is wanted of them now; columns that stay are not written."""
    noted: list[DatasetFile] = []
    cut: list[DatasetFile] = []
    failed: list[DatasetFile] = []
    for dataset_file, one in found:
        if one.attributes is not None and dataset_file.attributes != one.attributes:
            dataset_file.attributes = one.attributes
            noted.append(dataset_file)
        if one.chunking is not None and dataset_file.chunking != one.chunking:
            dataset_file.chunking = one.chunking
            cut.append(dataset_file)
        elif dataset_file.state in (State.FAILED, State.CANCELLED):
            failed.append(dataset_file)
    changed = [dataset_file for dataset_file, _ in found] if batch is not None else [*noted, *cut, *failed]
    if not changed:
        return
    held = DatasetFile.objects.filter(pk__in=reprocess.hold(_those(changed)))
    if batch is not None:
        held.update(batch=batch)
    DatasetFile.objects.bulk_update(noted, ["attributes"])
    DatasetFile.objects.bulk_update(cut, ["chunking"])
    # Who has one of them in work cuts it as it was to be cut before, and would make it ready with that.
    reprocess.start_over(_those(cut), key_id)
    reprocess.process_again(_those(failed), key_id)


def _those(dataset_files: Iterable[DatasetFile]) -> QuerySet[DatasetFile]:
    return DatasetFile.objects.filter(pk__in=[dataset_file.pk for dataset_file in dataset_files])
