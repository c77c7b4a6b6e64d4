"""The one transaction that makes a file ready."""

from array import array
from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from files.chunking import Piece
from files.ingestion.claims import Claim, Lost
from files.models import Chunk, Dataset, DatasetFile
from files.models.chunks import vector_text

#: Longest heading that is kept, in characters: the column's.
HEADING = 300


class Outdated(Exception):
    """The dataset's index is another one by now: what was embedded is of no use."""


def store(
    claim: Claim,
    dataset: Dataset,
    pieces: Sequence[Piece],
    vectors: "Sequence[array[float]]",
    warning: str = "",
) -> None:
    """Put a file's chunks and vectors in the place of those that were there, and make it ready.

    Args:
        claim: whose file it is.
        dataset: as it was read when the vectors were made.
        pieces: the file's text.
        vectors: one for each piece; empty where the dataset is searched by words alone.
        warning: what of the file is missing in it, in a sentence.

    Raises:
        Lost: the file is not ours any more.
        Outdated: see there.
        OperationalError: the database is away, or somebody else holds the file's row.
    """
    with transaction.atomic():
        _lock(claim, dataset)
        Chunk.objects.filter(dataset_file=claim.dataset_file_id).delete()
        chunk_ids = _insert_chunks(claim, dataset, pieces)
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
            characters=sum(len(piece.text) for piece in pieces),
            tokens=sum(piece.tokens for piece in pieces),
            chunk_count=len(pieces),
            ended_at=Now(),
        )


def _lock(claim: Claim, dataset: Dataset) -> None:
    with connection.cursor() as cursor:
        # Shared, so that files do not wait for each other; the swap to another generation waits for all of them.
        cursor.execute(
            "SELECT indexed_embedding, generation FROM files_dataset WHERE id = %s FOR SHARE", [dataset.pk]
        )
        found = cursor.fetchone()
        if found is None:
            raise Lost
        if found != (dataset.indexed_embedding, dataset.generation):
            raise Outdated
        # Whoever deletes the file first and then wants the dataset is not kept waiting: we try again later.
        cursor.execute("SET LOCAL lock_timeout = '500ms'")
        held = DatasetFile.objects.filter(
            pk=claim.dataset_file_id, lease=claim.lease, state=DatasetFile.State.PROCESSING
        )
        if not held.select_for_update().exists():
            raise Lost
        cursor.execute("SET LOCAL lock_timeout = 0")


def _insert_chunks(claim: Claim, dataset: Dataset, pieces: Sequence[Piece]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence('files_chunk', 'id')) FROM generate_series(1, %s)",
            [len(pieces)],
        )
        chunk_ids = [number for (number,) in cursor.fetchall()]
        columns = "id, tenant_id, dataset_id, dataset_file_id, position, text, tokens, page, heading"
        with cursor.copy(f"COPY files_chunk ({columns}) FROM STDIN") as copy:
            for position, (chunk_id, piece) in enumerate(zip(chunk_ids, pieces, strict=True)):
                where: tuple[Any, ...] = (
                    chunk_id,
                    claim.tenant_id,
                    dataset.pk,
                    claim.dataset_file_id,
                    position,
                )
                copy.write_row((*where, piece.text, piece.tokens, piece.page, piece.heading[:HEADING]))
    return chunk_ids


def _insert_vectors(
    claim: Claim, dataset: Dataset, chunk_ids: Sequence[int], vectors: "Sequence[array[float]]"
) -> None:
    with connection.cursor() as cursor:
        columns = "chunk_id, tenant_id, dataset_id, generation, dimensions, vector"
        with cursor.copy(f"COPY files_chunkvector ({columns}) FROM STDIN") as copy:
            for chunk_id, vector in zip(chunk_ids, vectors, strict=True):
                whose = (chunk_id, claim.tenant_id, dataset.pk, dataset.generation)
                copy.write_row((*whose, len(vector), vector_text(vector.tolist())))
