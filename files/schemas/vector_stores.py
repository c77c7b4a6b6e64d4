"""Datasets, their files and what they find, as OpenAI's clients read them: vector stores."""

from collections.abc import Sequence
from typing import Any

import orjson

from files.datasets import Counts
from files.models import Dataset, DatasetFile, FileBatch
from files.schemas.datasets import lifetime
from files.search import SearchResult
from files.validation import chunking_object

JSON = dict[str, Any]
State = DatasetFile.State

#: What OpenAI's clients call each state.
STATUSES = {
    State.UPLOADED: "in_progress",
    State.PROCESSING: "in_progress",
    State.READY: "completed",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
}
FILTERS = tuple(dict.fromkeys(STATUSES.values()))
#: Reasons that lie with us or with a model, by our code; all other ones lie with the file.
_SERVER_ERRORS = {
    "embedding_failed",
    "embedding_unavailable",
    "extraction_failed",
    "processing_failed",
    "storage_failed",
    "transcription_failed",
    "transcription_unavailable",
    "worker_lost",
}


def states_of(status: str) -> list[str]:
    """Return the states that OpenAI's clients call ``status``."""
    return [state for state, called in STATUSES.items() if called == status]


def file_counts(counts: Counts) -> JSON:
    """Return how many files there are of each status."""
    return {**{status: counts.of(*states_of(status)) for status in FILTERS}, "total": counts.total}


def vector_store_object(dataset: Dataset, counts: Counts) -> JSON:
    """Return a dataset as a vector store; one without a title goes by its name."""
    return {
        "id": dataset.pk,
        "object": "vector_store",
        "created_at": int(dataset.created_at.timestamp()),
        "name": dataset.title or dataset.name,
        **lifetime(dataset, counts),
        "usage_bytes": counts.bytes,
        "file_counts": file_counts(counts),
        "metadata": dataset.metadata,
    }


def store_file_object(dataset_file: DatasetFile) -> JSON:
    """Return a file's place in a vector store."""
    return {
        "id": dataset_file.file_id,
        "object": "vector_store.file",
        "created_at": int(dataset_file.created_at.timestamp()),
        "vector_store_id": dataset_file.dataset_id,
        "status": STATUSES[State(dataset_file.state)],
        "usage_bytes": dataset_file.file.bytes,
        "last_error": _last_error(dataset_file),
        "warning": dataset_file.warning or None,
        "attributes": dataset_file.attributes,
        "chunking_strategy": chunking_object(dataset_file.chunking),
    }


def _last_error(dataset_file: DatasetFile) -> JSON | None:
    if dataset_file.state != State.FAILED:
        return None
    known = "server_error" if dataset_file.error_code in _SERVER_ERRORS else "invalid_file"
    return {
        "code": dataset_file.error_code if dataset_file.error_code == "unsupported_file" else known,
        "message": dataset_file.error_message or "The file could not be processed.",
    }


def batch_object(batch: FileBatch, counts: Counts) -> JSON:
    """Return files that were attached together. A batch has failed when every file of it has."""
    counted = file_counts(counts)
    if batch.cancelled:
        status = "cancelled"
    elif counted["in_progress"]:
        status = "in_progress"
    else:
        status = "failed" if counted["failed"] and counted["failed"] == counted["total"] else "completed"
    return {
        "id": batch.pk,
        "object": "vector_store.files_batch",
        "created_at": int(batch.created_at.timestamp()),
        "vector_store_id": batch.dataset_id,
        "status": status,
        "file_counts": counted,
    }


def results_page(queries: Sequence[str], passages: Sequence[SearchResult]) -> JSON:
    """Return what a search found, the best first.

    A result's score is how well it answers, comparable from one search to another; the order knows the words, too.
    """
    return {
        "object": "vector_store.search_results.page",
        "search_query": list(queries),
        "data": [
            {
                "file_id": passage.file_id,
                "filename": passage.filename,
                "score": passage.relevance,
                "attributes": passage.attributes,
                "content": [{"type": "text", "text": passage.text}],
            }
            for passage in passages
        ],
        "has_more": False,
        "next_page": None,
    }


def content_parts(texts: Sequence[str]) -> bytes:
    """Return texts of a file as members of a list, without its brackets: a part for each of its chunks."""
    return b",".join(orjson.dumps({"type": "text", "text": text}) for text in texts)


#: What stands around these parts. All of them are in one page: clients ask for no second one.
CONTENT_BEGINNING = b'{"object":"vector_store.file_content.page","data":['
CONTENT_END = b'],"has_more":false,"next_page":null}'
