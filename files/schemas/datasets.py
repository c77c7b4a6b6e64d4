"""JSON schema of datasets and of their search results, on our own routes."""

from collections.abc import Sequence

from files.datasets import Counts
from files.models import Dataset, DatasetFile
from files.schemas.files import seconds
from files.search import SearchResult
from gtapi.json_types import JSON

State = DatasetFile.State


def dataset_object(dataset: Dataset, counts: Counts) -> JSON:
    """Return the JSON object of a dataset."""
    return {
        "id": dataset.pk,
        "object": "dataset",
        "created_at": int(dataset.created_at.timestamp()),
        **lifetime(dataset, counts),
        "name": dataset.name,
        "title": dataset.title,
        "embedding": dataset.embedding or None,
        "index_status": _index_status(dataset),
        "bytes": counts.bytes,
        "file_counts": {**{state.value: counts.of(state) for state in State}, "total": counts.total},
        "metadata": dataset.metadata,
    }


def lifetime(dataset: Dataset, counts: Counts) -> JSON:
    """Return the fields that datasets and vector stores share: status, activity and expiry."""
    after = dataset.expires_after
    return {
        "status": _status(dataset, counts),
        "last_active_at": seconds(dataset.last_active_at),
        "expires_after": {"anchor": "last_active_at", "days": after.days} if after is not None else None,
        "expires_at": seconds(dataset.expires_at),
    }


def _status(dataset: Dataset, counts: Counts) -> str:
    if dataset.expired:
        return "expired"
    return "in_progress" if counts.of(State.UPLOADED, State.PROCESSING) else "completed"


def _index_status(dataset: Dataset) -> str:
    """``building`` while vectors of a new embedding are made; searches use the old ones until it is complete."""
    if dataset.embedding == dataset.indexed_embedding:
        return "ready"
    return "failed" if dataset.index_error else "building"


def results_object(dataset_id: str, query: str, results: Sequence[SearchResult]) -> JSON:
    """Return the JSON object of search results, best first.

    ``score`` sorts them; ``relevance`` is comparable between queries.
    """
    return {
        "object": "dataset.search_results",
        "dataset_id": dataset_id,
        "query": query,
        "data": [
            {
                "file_id": result.file_id,
                "filename": result.filename,
                "page": result.page,
                "heading": result.heading,
                "position": result.position,
                "text": result.text,
                "score": result.score,
                "relevance": result.relevance,
                "attributes": result.attributes,
            }
            for result in results
        ],
    }
