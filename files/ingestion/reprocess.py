"""What people order: a file once more, or no more of a batch.

Whoever orders a file is booked for it: a key by its id, or an operator, who is None.
"""

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from files.ingestion.errors import TERMINAL
from files.ingestion.wakeup import wake
from files.models import DatasetFile, FileBatch

State = DatasetFile.State

#: What a file begins with.
AFRESH = {
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


def hold(dataset_files: QuerySet[DatasetFile]) -> list[int]:
    """Lock places until the transaction ends, and return their ids.

    In one order for everybody who changes several: they would wait for each other for ever.
    """
    return list(dataset_files.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))


@transaction.atomic
def process_again(dataset_files: QuerySet[DatasetFile], key_id: int | None) -> int:
    """Have those files that came to their end processed once more, and say how many that are; none that is in work.

    What one was found by stays until there is something new, but it is not searched before it is ready again.
    """
    ended = hold(dataset_files.filter(state__in=TERMINAL))
    return start_over(DatasetFile.objects.filter(pk__in=ended), key_id)


def start_over(held: QuerySet[DatasetFile], key_id: int | None) -> int:
    """Have files that are held processed from the beginning, also those that are in work; say how many that are.

    Whoever works on one loses its lease by it, so that it stops and can store nothing.
    """
    begun = held.update(requested_by=key_id, **AFRESH)
    if begun:
        wake()
    return begun


@transaction.atomic
def cancel(batch: FileBatch) -> int:
    """Cancel what is left to do of a batch, and say how many files that were.

    A file in work loses its lease by it, so whoever works on it stops and can store nothing.
    """
    FileBatch.objects.filter(pk=batch.pk).update(cancelled=True)
    batch.cancelled = True
    left = DatasetFile.objects.filter(batch=batch, state__in=(State.UPLOADED, State.PROCESSING))
    return DatasetFile.objects.filter(pk__in=hold(left)).update(
        state=State.CANCELLED, lease=None, lease_until=None, retry_at=None, stage="", ended_at=timezone.now()
    )
