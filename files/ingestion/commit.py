"""The transaction that stores a file's chunks and vectors and makes the file ready."""

from array import array
from collections.abc import Sequence

from django.db import connection, transaction
from django.db.models.functions import Now

from files.chunking import TextChunk
from files.ingestion.claims import Claim, LeaseLost
from files.models import Chunk, Dataset, DatasetFile
from files.models.chunks import vector_text

#: Maximum length of the column `heading`, in characters.
MAX_HEADING = 300


class GenerationChanged(Exception):
    """The dataset has another vector generation by now, so the embedded vectors are useless."""


def store(
    claim: Claim,
    dataset: Dataset,
    chunks: Sequence[TextChunk],
    vectors: "Sequence[array[float]]",
    warning: str = "",
) -> None:
    """Replace a file's chunks and vectors, and make it ready.

    Args:
        claim: the claim of the file.
        dataset: as it was read before the vectors were made.
        chunks: the file's text.
        vectors: one for each chunk; empty if the dataset has full-text search only.
        warning: what of the file could not be read, in a sentence.

    Raises:
        LeaseLost: the file was deleted or cancelled, or another worker has its lease.
        GenerationChanged: see there.
        OperationalError: the database is unavailable, or another transaction locks the file's row.
    """
    with transaction.atomic():
        _lock(claim, dataset)
        Chunk.objects.filter(dataset_file=claim.dataset_file_id).delete()
        chunk_ids = _insert_chunks(claim, dataset, chunks)
        if vectors:
            _insert_vectors(claim, dataset, chunk_ids, vectors)
        DatasetFile.objects.filter(pk=claim.dataset_file_id).update(
            state=DatasetFile.State.READY,
            stage="",
            progress=100,
            error_code="",
            error_message="",
            warning=warning,
            lease=None,
            lease_until=None,
            retry_at=None,
            characters=sum(len(chunk.text) for chunk in chunks),
            tokens=sum(chunk.tokens for chunk in chunks),
            chunk_count=len(chunks),
            ended_at=Now(),
        )


def _lock(claim: Claim, dataset: Dataset) -> None:
    with connection.cursor() as cursor:
        # A shared lock, so that files do not wait for each other; a switch of generations waits for all of them.
        cursor.execute(
            "SELECT indexed_embedding, generation FROM files_dataset WHERE id = %s FOR SHARE", [dataset.pk]
        )
        row = cursor.fetchone()
        if row is None:
            raise LeaseLost
        if row != (dataset.indexed_embedding, dataset.generation):
            raise GenerationChanged
        # A deletion locks the file first and then the dataset. It must not wait for us: we try again later.
        cursor.execute("SET LOCAL lock_timeout = '500ms'")
        leased = DatasetFile.objects.filter(
            pk=claim.dataset_file_id, lease=claim.lease, state=DatasetFile.State.PROCESSING
        )
        if not leased.select_for_update().exists():
            raise LeaseLost
        cursor.execute("SET LOCAL lock_timeout = 0")


def _insert_chunks(claim: Claim, dataset: Dataset, chunks: Sequence[TextChunk]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence('files_chunk', 'id')) FROM generate_series(1, %s)",
            [len(chunks)],
        )
        chunk_ids = [number for (number,) in cursor.fetchall()]
        columns = "id, tenant_id, dataset_id, dataset_file_id, position, text, tokens, page, heading"
        with cursor.copy(f"COPY files_chunk ({columns}) FROM STDIN") as copy:
            for position, (chunk_id, chunk) in enumerate(zip(chunk_ids, chunks, strict=True)):
                ids = (chunk_id, claim.tenant_id, dataset.pk, claim.dataset_file_id)
                copy.write_row(
                    (*ids, position, chunk.text, chunk.tokens, chunk.page, chunk.heading[:MAX_HEADING])
                )
    return chunk_ids


def _insert_vectors(
    claim: Claim, dataset: Dataset, chunk_ids: Sequence[int], vectors: "Sequence[array[float]]"
) -> None:
    with connection.cursor() as cursor:
        columns = "chunk_id, tenant_id, dataset_id, generation, dimensions, vector"
        with cursor.copy(f"COPY files_chunkvector ({columns}) FROM STDIN") as copy:
            for chunk_id, vector in zip(chunk_ids, vectors, strict=True):
                ids = (chunk_id, claim.tenant_id, dataset.pk, dataset.generation)
                copy.write_row((*ids, len(vector), vector_text(vector.tolist())))
