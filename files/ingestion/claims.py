"""Who works on which file: leases, and the conditional updates by which nobody writes to a file that is not theirs.

Times are the database's, so that machines whose clocks differ agree on when a lease has run out.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import uniform
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models.functions import Greatest, Now
from psycopg_pool import PoolTimeout

from files.ingestion.errors import IngestionError, PermanentError, TransientError
from files.models import DatasetFile

State = DatasetFile.State

#: Times that a file may kill or exhaust what reads it.
ATTEMPTS = 3
#: Workers that a file may take with it. Most of them die for other reasons, so there are more.
WORKER_DEATHS = 10
#: Times that a provider may fail a file: with the waits below, about an hour.
PROVIDER_ERRORS = 20
FIRST_WAIT = 5.0
LONGEST_WAIT = 300.0
#: Tenants that are looked at in one claim, best first; the first one mostly has a file that is free.
CANDIDATES = 8

#: From when on a row may be claimed: at once, when its wait is over, or when the lease of its worker has run out.
DUE = "COALESCE(GREATEST(retry_at, lease_until), created_at)"
WAITING = "state IN ('uploaded', 'processing')"
#: Those that wait for one that recognises needs_ocr, or those of which nobody knows that they would.
LANE = f"{WAITING} AND needs_ocr = %(needs_ocr)s"
#: Which of the two are looked through, one after the other.
OCR_FIRST, OCR_LAST, NO_OCR = (True, False), (False, True), (False,)

# The tenants that have something to do and since when, hopping through the index from one to the next: ordered as
# the index is, so that no other one serves, which would lead through all files that are done. Those come first that
# have the fewest files in work, and of these the one whose turn was longest ago.
NEXT_TENANTS = f"""
    WITH RECURSIVE waiting (tenant_id, due) AS (
        (SELECT tenant_id, {DUE} FROM files_datasetfile WHERE {LANE} ORDER BY tenant_id, {DUE}, id LIMIT 1)
        UNION ALL
        SELECT next.tenant_id, next.due FROM waiting CROSS JOIN LATERAL (
            SELECT dataset_file.tenant_id, {DUE} AS due FROM files_datasetfile dataset_file
            WHERE {LANE} AND dataset_file.tenant_id > waiting.tenant_id
            ORDER BY dataset_file.tenant_id, {DUE}, dataset_file.id LIMIT 1
        ) next
    ), busy AS (
        SELECT tenant_id, count(*) AS files FROM files_datasetfile
        WHERE lease IS NOT NULL AND lease_until > now() AND {WAITING} GROUP BY tenant_id
    )
    SELECT waiting.tenant_id FROM waiting
    JOIN tenants_tenant tenant ON tenant.id = waiting.tenant_id AND tenant.active
    LEFT JOIN busy USING (tenant_id)
    LEFT JOIN files_ingestturn turn USING (tenant_id)
    WHERE waiting.due <= now() AND waiting.tenant_id <> ALL(%(passed_over)s)
    ORDER BY COALESCE(busy.files, 0), turn.served_at NULLS FIRST, waiting.tenant_id
    LIMIT {CANDIDATES}
"""  # noqa: S608 - the pieces are the module's own
CLAIM = f"""
    UPDATE files_datasetfile SET
        state = 'processing', stage = '', retry_at = NULL,
        lease = %(lease)s, lease_until = now() + make_interval(secs => %(seconds)s),
        started_at = COALESCE(started_at, now()),
        worker_deaths = worker_deaths + CASE WHEN lease IS NULL THEN 0 ELSE 1 END
    WHERE id = (
        SELECT id FROM files_datasetfile
        WHERE tenant_id = %(tenant)s AND {LANE} AND {DUE} <= now()
        ORDER BY {DUE}, id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id, worker_deaths
"""  # noqa: S608
TURN = """
    INSERT INTO files_ingestturn (tenant_id, served_at) VALUES (%s, clock_timestamp())
    ON CONFLICT (tenant_id) DO UPDATE SET served_at = excluded.served_at
"""


#: What it looks like when the database is away; the next attempt may fare better.
AWAY = (OperationalError, InterfaceError, PoolTimeout)


class Lost(Exception):
    """The file is not ours any more: deleted, cancelled, or in another worker's hands."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A dataset file that this process works on while it holds the lease."""

    dataset_file_id: int
    tenant_id: int
    lease: UUID
    needs_ocr: bool


def claim(passed_over: Collection[int] = (), *, lanes: Sequence[bool] = OCR_FIRST) -> Claim | None:
    """Take the next file of all tenants but ``passed_over``; None when there is nothing that may be taken.

    It is of the first of these ``lanes`` that has one. A file that has taken too many workers with it fails here,
    and the next one is taken.
    """
    while True:
        found = next(filter(None, (_claim(passed_over, needs_ocr=needs_ocr) for needs_ocr in lanes)), None)
        if found is None:
            return None
        claimed, deaths = found
        if deaths < WORKER_DEATHS:
            return claimed
        fail(claimed, PermanentError("worker_lost"))


def _claim(passed_over: Collection[int], *, needs_ocr: bool) -> tuple[Claim, int] | None:
    with connection.cursor() as cursor:
        cursor.execute(NEXT_TENANTS, {"passed_over": list(passed_over), "needs_ocr": needs_ocr})
        for (tenant_id,) in cursor.fetchall():
            lease = uuid4()
            seconds = settings.INGEST_LEASE_SECONDS
            cursor.execute(
                CLAIM, {"lease": lease, "seconds": seconds, "tenant": tenant_id, "needs_ocr": needs_ocr}
            )
            if row := cursor.fetchone():
                cursor.execute(TURN, [tenant_id])
                return Claim(row[0], tenant_id, lease, needs_ocr), row[1]
    return None


def alive(claims: Iterable[Claim]) -> set[Claim]:
    """Extend the leases; returns those that are still ours."""
    held = {claim.lease: claim for claim in claims}
    if not held:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE files_datasetfile SET lease_until = now() + make_interval(secs => %s)"
            " WHERE id = ANY(%s) AND lease = ANY(%s) AND state = 'processing' RETURNING lease",
            [settings.INGEST_LEASE_SECONDS, [claim.dataset_file_id for claim in held.values()], list(held)],
        )
        return {held[lease] for (lease,) in cursor.fetchall()}


def report(claim: Claim, stage: str, progress: int) -> None:
    """Say how far the work is, in percent; what a client sees never goes back. Raises Lost."""
    term = timedelta(seconds=settings.INGEST_LEASE_SECONDS)
    _write(claim, stage=stage, progress=Greatest("progress", progress), lease_until=Now() + term)


def release(claim: Claim, wait: float = 0.0) -> None:
    """Give the file back with nothing counted, to be claimed at once or after so many seconds."""
    _give_back(claim, **({"retry_at": Now() + timedelta(seconds=wait)} if wait else {}))


def put_aside(claim: Claim) -> None:
    """Give the file back, for whoever has room to recognise its needs_ocr."""
    _give_back(claim, needs_ocr=True)


def fail(claim: Claim, error: IngestionError) -> None:
    """Put an end to it: failed, with a code and a sentence."""
    _end(claim, error, {})


def try_again(claim: Claim, error: TransientError) -> None:
    """Count a failure that may pass and let the file wait, or fail it where there were too many."""
    dataset_file = DatasetFile.objects.filter(pk=claim.dataset_file_id, lease=claim.lease).first()
    if dataset_file is None:
        return
    if error.provider:
        count, most, counter = dataset_file.provider_errors + 1, PROVIDER_ERRORS, "provider_errors"
    else:
        count, most, counter = dataset_file.attempts + 1, ATTEMPTS, "attempts"
    if count >= most:
        _end(claim, error, {counter: count})
    else:
        wait = timedelta(seconds=max(wait_before(count), min(error.after, LONGEST_WAIT)))
        _give_back(claim, retry_at=Now() + wait, **{counter: count})


def wait_before(retry: int) -> float:
    """Seconds before the ``retry``-th attempt after the first: twice as many each time, and spread."""
    return min(FIRST_WAIT * 2.0 ** (retry - 1), LONGEST_WAIT) * uniform(0.5, 1.0)  # noqa: S311 - no secret


def _end(claim: Claim, error: IngestionError, counted: dict[str, int]) -> None:
    _quietly(
        claim,
        state=State.FAILED,
        stage="",
        error_code=error.code,
        error_message=error.message,
        lease=None,
        lease_until=None,
        ended_at=Now(),
        **counted,
    )


def _give_back(claim: Claim, **fields: Any) -> None:
    _quietly(claim, stage="", lease=None, lease_until=None, **fields)


def _quietly(claim: Claim, **fields: Any) -> None:
    _held(claim).update(**fields)


def _write(claim: Claim, **fields: Any) -> None:
    if not _held(claim).update(**fields):
        raise Lost


def _held(claim: Claim) -> Any:
    return DatasetFile.objects.filter(pk=claim.dataset_file_id, lease=claim.lease, state=State.PROCESSING)
