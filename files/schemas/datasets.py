"""Datasets and what they find, as our own routes show them."""

from collections.abc import Sequence
from typing import Any

from files.datasets import Counts
from files.models import Dataset, DatasetFile
from files.schemas.files import seconds
from files.search import SearchResult

JSON = dict[str, Any]
State = DatasetFile.State


def dataset_object(dataset: Dataset, counts: Counts) -> JSON:
    """Return a dataset."""
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
    """Return what a dataset says of its life under either name: whether it is at work, and when it ends."""
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
    """``building`` while the vectors of another embedding are made; until they are whole the old ones are used."""
    if dataset.embedding == dataset.indexed_embedding:
        return "ready"
    return "failed" if dataset.index_error else "building"


def results_object(dataset_id: str, query: str, passages: Sequence[SearchResult]) -> JSON:
    """Return what a search found, the best first.

    ``score`` is what sorts them; ``relevance`` says how well a passage answers, comparable between questions.
    """
    return {
        "object": "dataset.search_results",
        "dataset_id": dataset_id,
        "query": query,
        "data": [
            {
                "file_id": passage.file_id,
                "filename": passage.filename,
                "page": passage.page,
                "heading": passage.heading,
                "position": passage.position,
                "text": passage.text,
                "score": passage.score,
                "relevance": passage.relevance,
                "attributes": passage.attributes,
            }
            for passage in passages
        ],
    }
