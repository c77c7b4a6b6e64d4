"""JSON schema of datasets, their files and search results as OpenAI's vector stores."""

from collections.abc import Sequence

import orjson

from files.datasets import Counts
from files.models import Dataset, DatasetFile, FileBatch
from files.schemas.datasets import lifetime
from files.search import SearchResult
from files.validation import chunking_object
from gtapi.json_types import JSON

State = DatasetFile.State

#: OpenAI's status of each state.
STATUSES = {
    State.UPLOADED: "in_progress",
    State.PROCESSING: "in_progress",
    State.READY: "completed",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
}
FILTERS = tuple(dict.fromkeys(STATUSES.values()))
#: Our error codes whose cause is the server or a model; the cause of all others is the file.
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
    """Return the states that have this OpenAI status."""
    return [state for state, openai_status in STATUSES.items() if openai_status == status]


def file_counts(counts: Counts) -> JSON:
    """Return the number of files of each OpenAI status."""
    return {**{status: counts.of(*states_of(status)) for status in FILTERS}, "total": counts.total}


def vector_store_object(dataset: Dataset, counts: Counts) -> JSON:
    """Return the JSON object of a dataset as a vector store; without a title, it is named by its name."""
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
    """Return the JSON object of a file in a vector store."""
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
    code = "server_error" if dataset_file.error_code in _SERVER_ERRORS else "invalid_file"
    return {
        "code": dataset_file.error_code if dataset_file.error_code == "unsupported_file" else code,
        "message": dataset_file.error_message or "The file could not be processed.",
    }


def batch_object(batch: FileBatch, counts: Counts) -> JSON:
    """Return the JSON object of a batch. It has failed if all its files have."""
    by_status = file_counts(counts)
    if batch.cancelled:
        status = "cancelled"
    elif by_status["in_progress"]:
        status = "in_progress"
    else:
        status = (
            "failed" if by_status["failed"] and by_status["failed"] == by_status["total"] else "completed"
        )
    return {
        "id": batch.pk,
        "object": "vector_store.files_batch",
        "created_at": int(batch.created_at.timestamp()),
        "vector_store_id": batch.dataset_id,
        "status": status,
        "file_counts": by_status,
    }


def results_page(queries: Sequence[str], results: Sequence[SearchResult]) -> JSON:
    """Return the JSON object of search results, best first.

    Their score is the relevance, which is comparable between queries. Their order is by rank fusion.
    """
    return {
        "object": "vector_store.search_results.page",
        "search_query": list(queries),
        "data": [
            {
                "file_id": result.file_id,
                "filename": result.filename,
                "score": result.relevance,
                "attributes": result.attributes,
                "content": [{"type": "text", "text": result.text}],
            }
            for result in results
        ],
        "has_more": False,
        "next_page": None,
    }


def content_parts(texts: Sequence[str]) -> bytes:
    """Return texts of chunks as JSON list items, without the brackets."""
    return b",".join(orjson.dumps({"type": "text", "text": text}) for text in texts)


#: JSON around these items. All are on one page, since clients do not request a second one.
CONTENT_BEGINNING = b'{"object":"vector_store.file_content.page","data":['
CONTENT_END = b'],"has_more":false,"next_page":null}'
