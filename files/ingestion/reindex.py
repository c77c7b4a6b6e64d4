"""Builds a dataset's next vector generation, while searches use the current one.

Vectors are made in batches, and each stored batch is kept, whichever worker made it. When every chunk of a ready
file has a vector, one statement switches searches to the new generation; then old vectors are deleted in batches.
"""

import asyncio
import logging
from array import array
from collections.abc import Iterator, Sequence
from time import monotonic

from django.db import DatabaseError

from files.backends import Caller
from files.ingestion import vector_generations
from files.ingestion.claims import LeaseLost
from files.ingestion.embedding import BATCH, embed_batch
from files.ingestion.errors import IngestionError
from files.ingestion.vector_generations import IndexLease
from files.models import Dataset
from gtapi.database import DATABASE_UNAVAILABLE, in_thread
from gtapi.errors import APIError
from tenants.models import NO_KEY

logger = logging.getLogger(__name__)


async def reindex(lease: IndexLease, deadline: float) -> bool:
    """Make a dataset's vectors match its settings, or release it at ``deadline``, by the monotonic clock.

    Returns whether it is complete. Raises only CancelledError, when the worker stops or the lease is lost.
    """
    try:
        complete = await _reindex(lease, deadline)
        await in_thread(vector_generations.release, lease, complete=complete)
    except LeaseLost:
        logger.info("The lease of dataset %s was lost.", lease.dataset_id)
    except IngestionError as error:
        cause = error.__cause__
        message = cause.message if isinstance(cause, APIError) else error.message
        logger.warning("Dataset %s could not be indexed: %s.", lease.dataset_id, error.code)
        await _fail(lease, message)
    except asyncio.CancelledError:
        await asyncio.shield(in_thread(vector_generations.release, lease, complete=False))
        raise
    except DATABASE_UNAVAILABLE as error:
        # The lease will expire.
        logger.warning("Dataset %s could not be indexed: %s.", lease.dataset_id, type(error).__name__)
    except DatabaseError as error:
        # Not the database's message, which would quote what it refuses.
        logger.error("Dataset %s could not be indexed: %s.", lease.dataset_id, type(error).__name__)  # noqa: TRY400
        await _fail(lease, "The database rejected the model's vectors.")
    except Exception:
        logger.exception("Dataset %s could not be indexed.", lease.dataset_id)
        await _fail(lease, "An internal error occurred.")
    else:
        return complete
    return False


async def _fail(lease: IndexLease, message: str) -> None:
    try:
        await in_thread(vector_generations.fail, lease, message)
    except DATABASE_UNAVAILABLE as error:
        logger.warning("The state of a dataset could not be stored: %s.", type(error).__name__)


async def _reindex(lease: IndexLease, deadline: float) -> bool:
    """Build, switch and delete; returns whether nothing is left to do."""
    while True:
        dataset = await in_thread(vector_generations.begin, lease)
        if not dataset.next_embedding:
            break
        if not await _add_vectors(lease, dataset, deadline):
            return False
        if await in_thread(vector_generations.switch, lease):
            break
    while await in_thread(vector_generations.delete_stale, lease):
        if monotonic() > deadline:
            return False
    return True


async def _add_vectors(lease: IndexLease, dataset: Dataset, deadline: float) -> bool:
    """Make the vectors that the next generation lacks; returns whether there was time for all of them."""
    caller = Caller(lease.tenant_id, dataset.embedding_requested_by_id or NO_KEY, dataset.pk)
    missing = await in_thread(vector_generations.missing_chunks, lease, dataset.next_generation)
    for batch in _batches(missing):
        if monotonic() > deadline:
            return False
        texts = await in_thread(vector_generations.chunk_texts, batch)
        if texts:
            vectors: list[array[float]] = await embed_batch(
                caller, dataset.next_embedding, [text for _, text in texts]
            )
            chunk_ids = [chunk_id for chunk_id, _ in texts]
            if not await in_thread(vector_generations.add_vectors, lease, dataset, chunk_ids, vectors):
                break
    return True


def _batches(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]
