"""Generations of a dataset's vectors in the database, and the lease on the dataset of who makes the next one."""

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

from files.ingestion.claims import Lost, wait_before
from files.models import Chunk, Dataset
from files.models.chunks import vector_text

#: Vectors that are deleted in one statement.
SWEPT = 5000

# Datasets whose vectors are not what their settings say, or not all of use.
WANTING = """
    (NOT dataset.embedding = dataset.indexed_embedding OR NOT dataset.next_embedding = '' OR dataset.stale_vectors)
"""
# As with files, those tenants come first that have the fewest datasets in work, and of these the one whose turn was
# longest ago. The datasets of a tenant's conversations come after its others, since there may be any number of them
# at once. A failure is waited for only as long as the wanted model is still the one that failed.
CLAIM = f"""
    UPDATE files_dataset SET index_lease = %s, index_lease_until = now() + make_interval(secs => %s)
    WHERE id = (
        SELECT dataset.id FROM files_dataset dataset
        JOIN tenants_tenant tenant ON tenant.id = dataset.tenant_id AND tenant.active
        LEFT JOIN (
            SELECT tenant_id, count(*) AS datasets FROM files_dataset dataset
            WHERE {WANTING} AND index_lease_until > now() GROUP BY tenant_id
        ) busy ON busy.tenant_id = dataset.tenant_id
        LEFT JOIN files_ingestturn turn ON turn.tenant_id = dataset.tenant_id
        WHERE {WANTING}
        AND (dataset.index_lease IS NULL OR dataset.index_lease_until <= now())
        AND (dataset.index_retry_at IS NULL OR dataset.index_retry_at <= now()
             OR dataset.next_embedding <> dataset.embedding)
        ORDER BY COALESCE(busy.datasets, 0), turn.indexed_at NULLS FIRST, dataset.tenant_id,
            dataset.hidden, dataset.index_retry_at NULLS FIRST, dataset.id
        LIMIT 1 FOR NO KEY UPDATE OF dataset SKIP LOCKED
    )
    RETURNING id, tenant_id
"""  # noqa: S608 - the pieces are the module's own
TURN = """
    INSERT INTO files_ingestturn (tenant_id, indexed_at) VALUES (%s, clock_timestamp())
    ON CONFLICT (tenant_id) DO UPDATE SET indexed_at = excluded.indexed_at
"""
ALIVE = """
    UPDATE files_dataset SET index_lease_until = now() + make_interval(secs => %s)
    WHERE id = ANY(%s) AND index_lease = ANY(%s) RETURNING index_lease
"""
# Chunks that a search can find and that have no vector in a generation.
MISSING = """
    FROM files_chunk chunk
    JOIN files_datasetfile dataset_file ON dataset_file.id = chunk.dataset_file_id AND dataset_file.state = 'ready'
    WHERE chunk.tenant_id = %s AND chunk.dataset_id = %s AND NOT EXISTS (
        SELECT 1 FROM files_chunkvector vector WHERE vector.chunk_id = chunk.id AND vector.generation = %s
    )
"""
# Chunks may be gone by now, and vectors may be there.
ADD = """
    WITH living AS (SELECT id FROM files_chunk WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE)
    INSERT INTO files_chunkvector (chunk_id, tenant_id, dataset_id, generation, dimensions, vector)
    SELECT made.id, %s, %s, %s, %s, made.vector::halfvec
    FROM unnest(%s::bigint[], %s::text[]) made (id, vector) JOIN living USING (id)
    ON CONFLICT (chunk_id, generation) DO NOTHING
"""
SWEEP = """
    DELETE FROM files_chunkvector WHERE id IN (
        SELECT id FROM files_chunkvector
        WHERE tenant_id = %s AND dataset_id = %s AND (generation < %s OR generation > %s) AND generation <> %s
        LIMIT %s
    )
"""


@dataclass(frozen=True, slots=True)
class IndexLease:
    """A dataset whose vectors are ours to change, for as long as its lease is."""

    dataset_id: str
    tenant_id: int
    lease: UUID


def claim() -> IndexLease | None:
    """Take the next dataset whose vectors are not what its settings say; None when there is none."""
    lease = uuid4()
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [lease, settings.INGEST_LEASE_SECONDS])
        found = cursor.fetchone()
        if found is None:
            return None
        dataset_id, tenant_id = found
        cursor.execute(TURN, [tenant_id])
    return IndexLease(dataset_id, tenant_id, lease)


def alive(indexes: Iterable[IndexLease]) -> set[IndexLease]:
    """Extend the leases; returns those that are still ours."""
    held = {index.lease: index for index in indexes}
    if not held:
        return set()
    with connection.cursor() as cursor:
        ids = [index.dataset_id for index in held.values()]
        cursor.execute(ALIVE, [settings.INGEST_LEASE_SECONDS, ids, list(held)])
        return {held[lease] for (lease,) in cursor.fetchall()}


@transaction.atomic
def begin(index: IndexLease) -> Dataset:
    """Return the dataset with the next generation that is to be made, none of it where that is no use (any more).

    To search by words alone takes no vectors, so that is shown at once. Raises Lost.
    """
    dataset = _locked(index)
    if dataset.embedding == dataset.indexed_embedding:
        if dataset.next_embedding:
            _save(index, dataset, next_embedding="", stale_vectors=True, **CLEAN)
    elif not dataset.embedding:
        _save(
            index,
            dataset,
            indexed_embedding="",
            generation=dataset.next_generation + 1,
            next_generation=dataset.next_generation + 1,
            next_embedding="",
            stale_vectors=True,
            **CLEAN,
        )
    elif dataset.embedding != dataset.next_embedding:
        _save(
            index,
            dataset,
            next_embedding=dataset.embedding,
            next_generation=dataset.next_generation + 1,
            stale_vectors=dataset.stale_vectors or bool(dataset.next_embedding),
            **CLEAN,
        )
    return dataset


def missing(index: IndexLease, generation: int) -> list[int]:
    """Return the chunks that a generation has to have a vector for and has not."""
    with connection.cursor() as cursor:
        of = (index.tenant_id, index.dataset_id, generation)
        cursor.execute(f"SELECT chunk.id {MISSING} ORDER BY chunk.id", of)
        return [chunk_id for (chunk_id,) in cursor.fetchall()]


def texts(chunk_ids: Sequence[int]) -> list[tuple[int, str]]:
    """Return the texts of those chunks that are there."""
    return list(Chunk.objects.filter(pk__in=chunk_ids).order_by("pk").values_list("pk", "text"))


@transaction.atomic
def add(
    index: IndexLease, dataset: Dataset, chunk_ids: Sequence[int], vectors: "Sequence[array[float]]"
) -> bool:
    """Store vectors of the next generation; False where by now another one is wanted. Raises Lost."""
    with connection.cursor() as cursor:
        # Shared with the files that become ready, and waited for by whoever shows or drops a generation.
        cursor.execute(
            "SELECT embedding, next_generation FROM files_dataset WHERE id = %s AND index_lease = %s FOR SHARE",
            [index.dataset_id, index.lease],
        )
        found = cursor.fetchone()
        if found is None:
            raise Lost
        if found != (dataset.next_embedding, dataset.next_generation):
            return False
        whose = (index.tenant_id, index.dataset_id, dataset.next_generation, len(vectors[0]))
        made = [vector_text(vector.tolist()) for vector in vectors]
        cursor.execute(ADD, [list(chunk_ids), *whose, list(chunk_ids), made])
    return True


@transaction.atomic
def show(index: IndexLease) -> bool:
    """Show the next generation if it is whole and still wanted, and say whether it was. Raises Lost."""
    dataset = _locked(index)
    if not dataset.next_embedding or dataset.next_embedding != dataset.embedding:
        return False
    # Nothing becomes ready while the dataset is locked.
    with connection.cursor() as cursor:
        of = (index.tenant_id, index.dataset_id, dataset.next_generation)
        cursor.execute(f"SELECT EXISTS (SELECT 1 {MISSING})", of)
        if cursor.fetchone() != (False,):
            return False
    _save(
        index,
        dataset,
        generation=dataset.next_generation,
        indexed_embedding=dataset.next_embedding,
        next_embedding="",
        stale_vectors=True,
        **CLEAN,
    )
    return True


@transaction.atomic
def sweep(index: IndexLease) -> bool:
    """Delete some of the vectors that no generation needs; says whether there may be more. Raises Lost."""
    dataset = _locked(index)
    if not dataset.stale_vectors:
        return False
    made = dataset.next_generation if dataset.next_embedding else dataset.generation
    of = (index.tenant_id, index.dataset_id, dataset.generation, dataset.generation, made, SWEPT)
    with connection.cursor() as cursor:
        cursor.execute(SWEEP, of)
        if cursor.rowcount == SWEPT:
            return True
    _save(index, dataset, stale_vectors=False)
    return False


def release(index: IndexLease, *, whole: bool) -> None:
    """Give the dataset back at once; where it is not whole, it queues behind the others."""
    _held(index).update(index_lease=None, index_lease_until=None, index_retry_at=None if whole else Now())


def fail(index: IndexLease, why: str) -> None:
    """Say why the dataset is not indexed, and give it back until it is worth another attempt."""
    failures = _held(index).values_list("index_failures", flat=True).first() or 0
    _held(index).update(
        index_error=why,
        # Beyond these the wait does not grow any more.
        index_failures=min(failures + 1, 100),
        index_retry_at=Now() + timedelta(seconds=wait_before(min(failures + 1, 100))),
        index_lease=None,
        index_lease_until=None,
    )


#: What a dataset has whose index gives no trouble.
CLEAN: dict[str, Any] = {"index_error": "", "index_failures": 0, "index_retry_at": None}


def _held(index: IndexLease) -> QuerySet[Dataset]:
    return Dataset.objects.filter(pk=index.dataset_id, index_lease=index.lease)


def _locked(index: IndexLease) -> Dataset:
    dataset = _held(index).select_for_update(no_key=True).first()
    if dataset is None:
        raise Lost
    return dataset


def _save(index: IndexLease, dataset: Dataset, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(dataset, name, value)
    _held(index).update(**fields)
