"""Reprocessing of dataset files, and cancelling of file batches.

Processing is booked to the key that requests it, by its id; None stands for an operator.
"""

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from files.ingestion.errors import TERMINAL
from files.ingestion.wakeup import wake
from files.models import DatasetFile, FileBatch

State = DatasetFile.State

#: The fields of a file that is to be processed from the beginning.
INITIAL_STATE = {
    "state": State.UPLOADED,
    "stage": "",
    "progress": 0,
    "error_code": "",
    "error_message": "",
    "warning": "",
    "attempts": 0,
    "worker_deaths": 0,
    "provider_errors": 0,
    "lease": None,
    "lease_until": None,
    "retry_at": None,
    "started_at": None,
    "ended_at": None,
}


def lock(dataset_files: QuerySet[DatasetFile]) -> list[int]:
    """Lock dataset files until the transaction ends, and return their ids.

    Always in the order of ids, so that two transactions that lock several do not deadlock.
    """
    return list(dataset_files.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))


@transaction.atomic
def reprocess(dataset_files: QuerySet[DatasetFile], key_id: int | None) -> int:
    """Process those files again that are ready, failed or cancelled; returns their number.

    A file keeps its chunks until it has new ones, but searches skip it until it is ready again.
    """
    ended = lock(dataset_files.filter(state__in=TERMINAL))
    return restart(DatasetFile.objects.filter(pk__in=ended), key_id)


def restart(locked: QuerySet[DatasetFile], key_id: int | None) -> int:
    """Process locked files from the beginning, including those being processed; returns their number.

    A worker that processes one of them loses its lease, so it stops and stores nothing.
    """
    restarted = locked.update(requested_by=key_id, **INITIAL_STATE)
    if restarted:
        wake()
    return restarted


@transaction.atomic
def cancel(batch: FileBatch) -> int:
    """Cancel the unfinished files of a batch; returns their number.

    A worker that processes one of them loses its lease, so it stops and stores nothing.
    """
    FileBatch.objects.filter(pk=batch.pk).update(cancelled=True)
    batch.cancelled = True
    unfinished = DatasetFile.objects.filter(batch=batch, state__in=(State.UPLOADED, State.PROCESSING))
    return DatasetFile.objects.filter(pk__in=lock(unfinished)).update(
        state=State.CANCELLED, lease=None, lease_until=None, retry_at=None, stage="", ended_at=timezone.now()
    )
