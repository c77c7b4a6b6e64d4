"""What people order: a file once more, or no more of a batch.

Whoever orders a file is booked for it: a key by its id, or an operator, who is None.
"""

from django.utils import timezone

from files.ingestion.errors import TERMINAL
from files.ingestion.waking import wake
from files.models import DatasetFile, FileBatch

State = DatasetFile.State

#: What a file begins with.
AFRESH = {
    "state": State.UPLOADED,
    "stage": "",
    "progress": 0,
    "error_code": "",
    "error_message": "",
    "attempts": 0,
    "worker_deaths": 0,
    "provider_errors": 0,
    "lease": None,
    "lease_until": None,
    "retry_at": None,
    "started_at": None,
    "ended_at": None,
}


def process_again(place: DatasetFile, key_id: int | None) -> bool:
    """Have a file that came to its end processed once more, and say whether it did; not while it is in work.

    What it was found by stays until there is something new, but it is not searched before it is ready again.
    """
    done = DatasetFile.objects.filter(pk=place.pk, state__in=TERMINAL).update(ordered_by=key_id, **AFRESH)
    if done:
        wake()
    return bool(done)


def start_over(place: DatasetFile, key_id: int | None) -> None:
    """Have a file processed from the beginning, also where it is in work.

    Whoever works on it loses its lease by it, so that it stops and can store nothing.
    """
    DatasetFile.objects.filter(pk=place.pk).update(ordered_by=key_id, **AFRESH)
    wake()


def cancel(batch: FileBatch) -> int:
    """Cancel what is left to do of a batch, and say how many files that were.

    A file in work loses its lease by it, so whoever works on it stops and can store nothing.
    """
    FileBatch.objects.filter(pk=batch.pk).update(cancelled=True)
    batch.cancelled = True
    return DatasetFile.objects.filter(batch=batch, state__in=(State.UPLOADED, State.PROCESSING)).update(
        state=State.CANCELLED, lease=None, lease_until=None, retry_at=None, stage="", ended_at=timezone.now()
    )
