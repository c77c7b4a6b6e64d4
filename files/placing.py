"""Files that clients put into datasets: which ones, and in which way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from files import limits, uploads
from files.ingestion.orders import process_again, start_over
from files.models import Dataset, DatasetFile, File, FileBatch
from gtapi.checks import invalid, of_type
from gtapi.errors import NotFound

JSON = dict[str, Any]
State = DatasetFile.State
#: Most files that are put into a dataset by one request.
MAX_FILES = 500


@dataclass(frozen=True, slots=True)
class Wanted:
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


def place(
    dataset: Dataset, key_id: int, wanted: Sequence[Wanted], batch: FileBatch | None = None
) -> list[DatasetFile]:
    """Put files that a key may read into a dataset, and have them processed there.

    One that is there already stays, with the attributes of this time, and is processed again where it had failed or
    was cancelled, or is to be cut in another way. ``batch`` is a new one, which is stored with them.

    Raises:
        NotFound: the key may not read one of them, or there is no such file; none is placed then.
        PermissionDenied: the tenant's files would be in datasets too often; none is placed then, either.
    """
    ids = [one.file_id for one in wanted if "\0" not in one.file_id]
    files = uploads.readable(key_id, dataset.tenant_id).in_bulk(ids)
    for one in wanted:
        if one.file_id not in files:
            raise NotFound(f"There is no file '{one.file_id}'.", param=one.param, code="file_not_found")
    limits.alone(dataset.tenant_id)
    more = len(files) - dataset.places.filter(file__in=files).count()
    if more:
        limits.check_places(dataset.tenant_id, more)
    # In one order for everybody: requests that name the same files would wait for each other for ever.
    locked = File.objects.filter(pk__in=files).order_by("pk").select_for_update(no_key=True)
    list(locked.values_list("pk"))
    if batch is not None:
        # Only now, since its row holds the dataset, which everybody locks after files.
        batch.save(force_insert=True)
    return [_placed(dataset, files[one.file_id], key_id, one, batch) for one in wanted]


def _placed(dataset: Dataset, file: File, key_id: int, one: Wanted, batch: FileBatch | None) -> DatasetFile:
    found = uploads.attach(
        dataset, file, key_id, attributes=one.attributes, chunking=one.chunking, batch=batch
    )
    changed: JSON = {}
    if one.attributes is not None and found.attributes != one.attributes:
        changed["attributes"] = one.attributes
    if one.chunking is not None and found.chunking != one.chunking:
        changed["chunking"] = one.chunking
    if batch is not None and found.batch_id != batch.pk:
        changed["batch"] = batch
    if changed:
        DatasetFile.objects.filter(pk=found.pk).update(**changed)
    again = False
    if "chunking" in changed:
        # Who has it in work cuts it as it was to be cut before, and would make it ready with that.
        start_over(found, key_id)
    elif found.state in (State.FAILED, State.CANCELLED):
        again = process_again(found, key_id)
    if changed or again:
        found.refresh_from_db()
    return found
