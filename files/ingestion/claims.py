"""Claims: leases by which one worker at a time processes a dataset file, fairly between tenants.

Every write depends on the lease, so a worker that has lost it writes nothing. Times are the database's, so that
machines with different clocks agree on when a lease expires.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from random import uniform
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Greatest, Now

from files.ingestion.errors import IngestionError, PermanentError, TransientError
from files.ingestion.turns import record_turn
from files.models import DatasetFile

State = DatasetFile.State

#: Attempts at a file that kills its extraction process or fails for another reason that may pass.
MAX_ATTEMPTS = 3
#: Workers that may die while they process a file. Most die for other reasons, so more are allowed.
MAX_WORKER_DEATHS = 10
#: Failures of a provider before the file fails: with the waits below, about an hour.
MAX_PROVIDER_ERRORS = 20
FIRST_WAIT = 5.0
MAX_WAIT = 300.0
#: Tenants that one claim considers; the first one usually has a file that is not locked.
CANDIDATES = 8

#: When a row becomes claimable: at once, after its wait, or when the lease of its worker expires.
DUE = "COALESCE(GREATEST(retry_at, lease_until), created_at)"
UNFINISHED = "state IN ('uploaded', 'processing')"
#: Rows of one queue: `ocr` processes the files known to need OCR, `ingest` all others.
QUEUED = f"{UNFINISHED} AND needs_ocr = %(ocr)s"

# Tenants with unfinished files and when their first one is due, found by skipping through the index from tenant
# to tenant. The order is the index's, since another one would read all finished files. The tenant with the fewest
# files in processing comes first, and of those the one whose last turn is longest ago.
NEXT_TENANTS = f"""
    WITH RECURSIVE waiting (tenant_id, due) AS (
        (SELECT tenant_id, {DUE} FROM files_datasetfile WHERE {QUEUED} ORDER BY tenant_id, {DUE}, id LIMIT 1)
        UNION ALL
        SELECT next.tenant_id, next.due FROM waiting CROSS JOIN LATERAL (
            SELECT dataset_file.tenant_id, {DUE} AS due FROM files_datasetfile dataset_file
            WHERE {QUEUED} AND dataset_file.tenant_id > waiting.tenant_id
            ORDER BY dataset_file.tenant_id, {DUE}, dataset_file.id LIMIT 1
        ) next
    ), busy AS (
        SELECT tenant_id, count(*) AS files FROM files_datasetfile
        WHERE lease IS NOT NULL AND lease_until > now() AND {UNFINISHED} GROUP BY tenant_id
    )
    SELECT waiting.tenant_id FROM waiting
    JOIN tenants_tenant tenant ON tenant.id = waiting.tenant_id AND tenant.active
    LEFT JOIN busy USING (tenant_id)
    LEFT JOIN files_ingestturn turn USING (tenant_id)
    WHERE waiting.due <= now() AND waiting.tenant_id <> ALL(%(skipped_tenants)s)
    ORDER BY COALESCE(busy.files, 0), turn.served_at NULLS FIRST, waiting.tenant_id
    LIMIT {CANDIDATES}
"""  # noqa: S608 - the parts are constants of this module
CLAIM = f"""
    UPDATE files_datasetfile SET
        state = 'processing', stage = '', retry_at = NULL,
        lease = %(lease)s, lease_until = now() + make_interval(secs => %(seconds)s),
        started_at = COALESCE(started_at, now()),
        worker_deaths = worker_deaths + CASE WHEN lease IS NULL THEN 0 ELSE 1 END
    WHERE id = (
        SELECT id FROM files_datasetfile
        WHERE tenant_id = %(tenant)s AND {QUEUED} AND {DUE} <= now()
        ORDER BY {DUE}, id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id, worker_deaths
"""  # noqa: S608


class LeaseLost(Exception):
    """The file was deleted or cancelled, or another worker has its lease."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A dataset file that this process may work on while it holds the lease; ``ocr`` is true in the OCR queue."""

    dataset_file_id: int
    tenant_id: int
    lease: UUID
    ocr: bool


def claim(skipped_tenants: Collection[int] = (), *, ocr: bool = False) -> Claim | None:
    """Claim the next file of a queue; None if none is due.

    A file that has caused too many deaths of workers fails here, and the next one is claimed.
    """
    while True:
        claimed = _claim(skipped_tenants, ocr=ocr)
        if claimed is None:
            return None
        file_claim, worker_deaths = claimed
        if worker_deaths < MAX_WORKER_DEATHS:
            return file_claim
        fail(file_claim, PermanentError("worker_lost"))


def _claim(skipped_tenants: Collection[int], *, ocr: bool) -> tuple[Claim, int] | None:
    with connection.cursor() as cursor:
        cursor.execute(NEXT_TENANTS, {"skipped_tenants": list(skipped_tenants), "ocr": ocr})
        for (tenant_id,) in cursor.fetchall():
            lease = uuid4()
            seconds = settings.INGEST_LEASE_SECONDS
            cursor.execute(CLAIM, {"lease": lease, "seconds": seconds, "tenant": tenant_id, "ocr": ocr})
            if row := cursor.fetchone():
                record_turn(tenant_id, "served_at")
                return Claim(row[0], tenant_id, lease, ocr), row[1]
    return None


def is_due(*, ocr: bool) -> bool:
    """Return whether a queue has a file that can be claimed."""
    with connection.cursor() as cursor:
        cursor.execute(NEXT_TENANTS, {"skipped_tenants": [], "ocr": ocr})
        return cursor.fetchone() is not None


def extend(claims: Iterable[Claim]) -> set[Claim]:
    """Extend leases; returns the claims that still hold theirs."""
    by_lease = {claim.lease: claim for claim in claims}
    if not by_lease:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE files_datasetfile SET lease_until = now() + make_interval(secs => %s)"
            " WHERE id = ANY(%s) AND lease = ANY(%s) AND state = 'processing' RETURNING lease",
            [
                settings.INGEST_LEASE_SECONDS,
                [claim.dataset_file_id for claim in by_lease.values()],
                list(by_lease),
            ],
        )
        return {by_lease[lease] for (lease,) in cursor.fetchall()}


def report(claim: Claim, stage: str, progress: int) -> None:
    """Store stage and progress in percent, which never decreases. Raises LeaseLost."""
    term = timedelta(seconds=settings.INGEST_LEASE_SECONDS)
    updated = _leased(claim).update(
        stage=stage, progress=Greatest("progress", progress), lease_until=Now() + term
    )
    if not updated:
        raise LeaseLost


def release(claim: Claim, wait: float = 0.0) -> None:
    """Return the file to its queue, to be claimed at once or after so many seconds. Nothing is counted."""
    _requeue(claim, **({"retry_at": Now() + timedelta(seconds=wait)} if wait else {}))


def hand_to_ocr(claim: Claim) -> None:
    """Move the file to the OCR queue. Nothing is counted."""
    _requeue(claim, needs_ocr=True)


def fail(claim: Claim, error: IngestionError) -> None:
    """Fail the file with a code and a message."""
    _end(claim, error)


def retry_later(claim: Claim, error: TransientError) -> None:
    """Count a transient failure, and have the file wait, or fail it after too many."""
    dataset_file = DatasetFile.objects.filter(pk=claim.dataset_file_id, lease=claim.lease).first()
    if dataset_file is None:
        return
    if error.provider:
        counter, count, limit = "provider_errors", dataset_file.provider_errors + 1, MAX_PROVIDER_ERRORS
    else:
        counter, count, limit = "attempts", dataset_file.attempts + 1, MAX_ATTEMPTS
    if count >= limit:
        _end(claim, error, **{counter: count})
    else:
        wait = timedelta(seconds=max(backoff(count), min(error.after, MAX_WAIT)))
        _requeue(claim, retry_at=Now() + wait, **{counter: count})


def backoff(retry: int) -> float:
    """Return the seconds before a retry, counted from 1: doubled each time, with jitter."""
    return min(FIRST_WAIT * 2.0 ** (retry - 1), MAX_WAIT) * uniform(0.5, 1.0)  # noqa: S311 - not a secret


def _end(claim: Claim, error: IngestionError, **counters: int) -> None:
    _leased(claim).update(
        state=State.FAILED,
        stage="",
        error_code=error.code,
        error_message=error.message,
        lease=None,
        lease_until=None,
        ended_at=Now(),
        **counters,
    )


def _requeue(claim: Claim, **fields: Any) -> None:
    _leased(claim).update(stage="", lease=None, lease_until=None, **fields)


def _leased(claim: Claim) -> QuerySet[DatasetFile]:
    return DatasetFile.objects.filter(pk=claim.dataset_file_id, lease=claim.lease, state=State.PROCESSING)
