"""Another model for a dataset's search: its next generation of vectors, made beside the one that is shown.

It is made in batches, and a batch that is there is kept, whoever made it. Searches go on in the generation that the
dataset shows, until the next one has a vector for every chunk that can be found; then one statement shows it, and
the old vectors go in batches.
"""

import asyncio
import logging
from array import array
from collections.abc import Iterator, Sequence
from time import monotonic

from django.db import DatabaseError

from files.backends import Caller
from files.ingestion import vector_generations
from files.ingestion.claims import AWAY, Lost
from files.ingestion.embedding import BATCH, embed_batch
from files.ingestion.errors import IngestionError
from files.ingestion.vector_generations import IndexLease
from files.models import Dataset
from gtapi.database import in_thread
from gtapi.errors import APIError
from tenants.models import NO_KEY

logger = logging.getLogger(__name__)


async def index(held: IndexLease, until: float) -> bool:
    """Bring a dataset's vectors to what its settings say, or give it back at the moment ``until``.

    Says whether it did the former. Nothing is raised but CancelledError: the worker stops, or the dataset is not
    ours any more.
    """
    try:
        whole = await _index(held, until)
        await in_thread(vector_generations.release, held, whole=whole)
    except Lost:
        logger.info("dataset %s is in other hands", held.dataset_id)
    except IngestionError as error:
        cause = error.__cause__
        why = cause.message if isinstance(cause, APIError) else error.message
        logger.warning("dataset %s is not indexed: %s", held.dataset_id, error.code)
        await _note(held, why)
    except asyncio.CancelledError:
        await asyncio.shield(in_thread(vector_generations.release, held, whole=False))
        raise
    except AWAY as error:
        # The lease runs out by itself.
        logger.warning("dataset %s is not indexed: %s", held.dataset_id, type(error).__name__)
    except DatabaseError as error:
        # The database's own words would quote what it refuses.
        logger.error("dataset %s could not be indexed: %s", held.dataset_id, type(error).__name__)  # noqa: TRY400
        await _note(held, "The database does not take the model's vectors.")
    except Exception:
        logger.exception("dataset %s could not be indexed", held.dataset_id)
        await _note(held, "There was a fault of the server.")
    else:
        return whole
    return False


async def _note(held: IndexLease, why: str) -> None:
    try:
        await in_thread(vector_generations.fail, held, why)
    except AWAY as error:
        logger.warning("the database does not take a dataset's state: %s", type(error).__name__)


async def _index(held: IndexLease, until: float) -> bool:
    """Do what there is to do; says whether it came to the end of it."""
    while True:
        dataset = await in_thread(vector_generations.begin, held)
        if not dataset.next_embedding:
            break
        if not await _fill(held, dataset, until):
            return False
        if await in_thread(vector_generations.show, held):
            break
    while await in_thread(vector_generations.sweep, held):
        if monotonic() > until:
            return False
    return True


async def _fill(held: IndexLease, dataset: Dataset, until: float) -> bool:
    """Make the vectors that the next generation lacks; says whether it came to the end of them."""
    caller = Caller(held.tenant_id, dataset.embedding_requested_by_id or NO_KEY, dataset.pk)
    for ids in _batches(await in_thread(vector_generations.missing, held, dataset.next_generation)):
        if monotonic() > until:
            return False
        found = await in_thread(vector_generations.texts, ids)
        if found:
            vectors: list[array[float]] = await embed_batch(
                caller, dataset.next_embedding, [text for _, text in found]
            )
            chunk_ids = [chunk_id for chunk_id, _ in found]
            if not await in_thread(vector_generations.add, held, dataset, chunk_ids, vectors):
                break
    return True


def _batches(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]
