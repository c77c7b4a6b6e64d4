"""Numbered sets of a dataset's vectors ("generations"), one per embedding model, and leases of their builders."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from files.ingestion.claims import LeaseLost, backoff
from files.ingestion.turns import record_turn
from files.models import Chunk, Dataset
from files.models.chunks import vector_text

#: Vectors that one statement deletes.
DELETE_BATCH = 5000
#: The fields of a dataset without an indexing error.
NO_ERROR: dict[str, Any] = {"index_error": "", "index_failures": 0, "index_retry_at": None}

# Datasets whose vectors do not match their settings, or that have vectors to delete.
NEEDS_INDEXING = """
    (NOT dataset.embedding = dataset.indexed_embedding OR NOT dataset.next_embedding = '' OR dataset.stale_vectors)
"""
# As with files, the tenant with the fewest datasets being indexed comes first, and of those the one whose last turn
# is longest ago. Datasets of conversations come after a tenant's others, since there may be any number of them at
# once. The wait after a failure ends early when another model is chosen.
CLAIM = f"""
    UPDATE files_dataset SET index_lease = %s, index_lease_until = now() + make_interval(secs => %s)
    WHERE id = (
        SELECT dataset.id FROM files_dataset dataset
        JOIN tenants_tenant tenant ON tenant.id = dataset.tenant_id AND tenant.active
        LEFT JOIN (
            SELECT tenant_id, count(*) AS datasets FROM files_dataset dataset
            WHERE {NEEDS_INDEXING} AND index_lease_until > now() GROUP BY tenant_id
        ) busy ON busy.tenant_id = dataset.tenant_id
        LEFT JOIN files_ingestturn turn ON turn.tenant_id = dataset.tenant_id
        WHERE {NEEDS_INDEXING}
        AND (dataset.index_lease IS NULL OR dataset.index_lease_until <= now())
        AND (dataset.index_retry_at IS NULL OR dataset.index_retry_at <= now()
             OR dataset.next_embedding <> dataset.embedding)
        ORDER BY COALESCE(busy.datasets, 0), turn.indexed_at NULLS FIRST, dataset.tenant_id,
            dataset.hidden, dataset.index_retry_at NULLS FIRST, dataset.id
        LIMIT 1 FOR NO KEY UPDATE OF dataset SKIP LOCKED
    )
    RETURNING id, tenant_id
"""  # noqa: S608 - the parts are constants of this module
EXTEND = """
    UPDATE files_dataset SET index_lease_until = now() + make_interval(secs => %s)
    WHERE id = ANY(%s) AND index_lease = ANY(%s) RETURNING index_lease
"""
# Chunks of files that are ready, without a vector in a generation.
MISSING = """
    FROM files_chunk chunk
    JOIN files_datasetfile dataset_file ON dataset_file.id = chunk.dataset_file_id AND dataset_file.state = 'ready'
    WHERE chunk.tenant_id = %s AND chunk.dataset_id = %s AND NOT EXISTS (
        SELECT 1 FROM files_chunkvector vector WHERE vector.chunk_id = chunk.id AND vector.generation = %s
    )
"""
# Chunks may have been deleted meanwhile, and vectors may exist already.
ADD = """
    WITH existing AS (SELECT id FROM files_chunk WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE)
    INSERT INTO files_chunkvector (chunk_id, tenant_id, dataset_id, generation, dimensions, vector)
    SELECT new.id, %s, %s, %s, %s, new.vector::halfvec
    FROM unnest(%s::bigint[], %s::text[]) new (id, vector) JOIN existing USING (id)
    ON CONFLICT (chunk_id, generation) DO NOTHING
"""
DELETE_STALE = """
    DELETE FROM files_chunkvector WHERE id IN (
        SELECT id FROM files_chunkvector
        WHERE tenant_id = %s AND dataset_id = %s AND (generation < %s OR generation > %s) AND generation <> %s
        LIMIT %s
    )
"""


@dataclass(frozen=True, slots=True)
class IndexLease:
    """A dataset whose vectors this process may change while it holds the lease."""

    dataset_id: str
    tenant_id: int
    lease: UUID


def claim() -> IndexLease | None:
    """Claim the next dataset whose vectors do not match its settings; None if there is none."""
    lease = uuid4()
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [lease, settings.INGEST_LEASE_SECONDS])
        row = cursor.fetchone()
        if row is None:
            return None
        dataset_id, tenant_id = row
        record_turn(tenant_id, "indexed_at")
    return IndexLease(dataset_id, tenant_id, lease)


def extend(leases: Iterable[IndexLease]) -> set[IndexLease]:
    """Extend leases; returns those that are still held."""
    by_id = {index_lease.lease: index_lease for index_lease in leases}
    if not by_id:
        return set()
    with connection.cursor() as cursor:
        ids = [index_lease.dataset_id for index_lease in by_id.values()]
        cursor.execute(EXTEND, [settings.INGEST_LEASE_SECONDS, ids, list(by_id)])
        return {by_id[lease] for (lease,) in cursor.fetchall()}


@transaction.atomic
def begin(index_lease: IndexLease) -> Dataset:
    """Start, continue or drop the dataset's next generation as its settings demand; returns the dataset.

    Full-text search only needs no vectors, so that takes effect at once. Raises LeaseLost.
    """
    dataset = _lock(index_lease)
    if dataset.embedding == dataset.indexed_embedding:
        if dataset.next_embedding:
            _save(index_lease, dataset, next_embedding="", stale_vectors=True, **NO_ERROR)
    elif not dataset.embedding:
        _save(
            index_lease,
            dataset,
            indexed_embedding="",
            generation=dataset.next_generation + 1,
            next_generation=dataset.next_generation + 1,
            next_embedding="",
            stale_vectors=True,
            **NO_ERROR,
        )
    elif dataset.embedding != dataset.next_embedding:
        _save(
            index_lease,
            dataset,
            next_embedding=dataset.embedding,
            next_generation=dataset.next_generation + 1,
            stale_vectors=dataset.stale_vectors or bool(dataset.next_embedding),
            **NO_ERROR,
        )
    return dataset


def missing_chunks(index_lease: IndexLease, generation: int) -> list[int]:
    """Return the ids of chunks that lack a vector in a generation."""
    with connection.cursor() as cursor:
        scope = (index_lease.tenant_id, index_lease.dataset_id, generation)
        cursor.execute(f"SELECT chunk.id {MISSING} ORDER BY chunk.id", scope)
        return [chunk_id for (chunk_id,) in cursor.fetchall()]


def chunk_texts(chunk_ids: Sequence[int]) -> list[tuple[int, str]]:
    """Return ids and texts of those chunks that still exist."""
    return list(Chunk.objects.filter(pk__in=chunk_ids).order_by("pk").values_list("pk", "text"))


@transaction.atomic
def add_vectors(
    index_lease: IndexLease, dataset: Dataset, chunk_ids: Sequence[int], vectors: "Sequence[array[float]]"
) -> bool:
    """Store vectors of the next generation; returns False if another one has been requested. Raises LeaseLost."""
    with connection.cursor() as cursor:
        # A shared lock, as for files that become ready; a switch or drop of a generation waits for all of them.
        cursor.execute(
            "SELECT embedding, next_generation FROM files_dataset WHERE id = %s AND index_lease = %s FOR SHARE",
            [index_lease.dataset_id, index_lease.lease],
        )
        row = cursor.fetchone()
        if row is None:
            raise LeaseLost
        if row != (dataset.next_embedding, dataset.next_generation):
            return False
        fixed = (index_lease.tenant_id, index_lease.dataset_id, dataset.next_generation, len(vectors[0]))
        values = [vector_text(vector.tolist()) for vector in vectors]
        cursor.execute(ADD, [list(chunk_ids), *fixed, list(chunk_ids), values])
    return True


@transaction.atomic
def switch(index_lease: IndexLease) -> bool:
    """Switch searches to the next generation if it is complete and still requested; returns whether it was.

    Raises LeaseLost.
    """
    dataset = _lock(index_lease)
    if not dataset.next_embedding or dataset.next_embedding != dataset.embedding:
        return False
    # No file becomes ready while the dataset is locked.
    with connection.cursor() as cursor:
        scope = (index_lease.tenant_id, index_lease.dataset_id, dataset.next_generation)
        cursor.execute(f"SELECT EXISTS (SELECT 1 {MISSING})", scope)
        if cursor.fetchone() != (False,):
            return False
    _save(
        index_lease,
        dataset,
        generation=dataset.next_generation,
        indexed_embedding=dataset.next_embedding,
        next_embedding="",
        stale_vectors=True,
        **NO_ERROR,
    )
    return True


@transaction.atomic
def delete_stale(index_lease: IndexLease) -> bool:
    """Delete some vectors that no generation needs; returns whether there may be more. Raises LeaseLost."""
    dataset = _lock(index_lease)
    if not dataset.stale_vectors:
        return False
    building = dataset.next_generation if dataset.next_embedding else dataset.generation
    scope = (
        index_lease.tenant_id,
        index_lease.dataset_id,
        dataset.generation,
        dataset.generation,
        building,
        DELETE_BATCH,
    )
    with connection.cursor() as cursor:
        cursor.execute(DELETE_STALE, scope)
        if cursor.rowcount == DELETE_BATCH:
            return True
    _save(index_lease, dataset, stale_vectors=False)
    return False


def release(index_lease: IndexLease, *, complete: bool) -> None:
    """Give up the lease; an incomplete dataset queues behind the others."""
    _leased(index_lease).update(
        index_lease=None, index_lease_until=None, index_retry_at=None if complete else Now()
    )


def fail(index_lease: IndexLease, message: str) -> None:
    """Store why the dataset could not be indexed, and give up the lease until the next attempt."""
    failures = _leased(index_lease).values_list("index_failures", flat=True).first() or 0
    _leased(index_lease).update(
        index_error=message,
        # Beyond this the wait no longer grows.
        index_failures=min(failures + 1, 100),
        index_retry_at=Now() + timedelta(seconds=backoff(min(failures + 1, 100))),
        index_lease=None,
        index_lease_until=None,
    )


def _leased(index_lease: IndexLease) -> QuerySet[Dataset]:
    return Dataset.objects.filter(pk=index_lease.dataset_id, index_lease=index_lease.lease)


def _lock(index_lease: IndexLease) -> Dataset:
    dataset = _leased(index_lease).select_for_update(no_key=True).first()
    if dataset is None:
        raise LeaseLost
    return dataset


def _save(index_lease: IndexLease, dataset: Dataset, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(dataset, name, value)
    _leased(index_lease).update(**fields)
