"""Datasets and what they find, as our own routes show them."""

from typing import Any

from files.datasets import Counts
from files.models import Dataset, DatasetFile

JSON = dict[str, Any]
State = DatasetFile.State


def dataset_object(dataset: Dataset, counts: Counts) -> JSON:
    """Return a dataset."""
    return {
        "id": dataset.pk,
        "object": "dataset",
        "created_at": int(dataset.created_at.timestamp()),
        "name": dataset.name,
        "title": dataset.title,
        "embedding": dataset.embedding or None,
        "index_status": _index_status(dataset),
        "bytes": counts.bytes,
        "file_counts": {**{state.value: counts.of(state) for state in State}, "total": counts.total},
        "metadata": dataset.metadata,
    }


def _index_status(dataset: Dataset) -> str:
    """``building`` while the vectors of another embedding are made; until they are whole the old ones are used."""
    if dataset.embedding == dataset.indexed_embedding:
        return "ready"
    return "failed" if dataset.index_error else "building"
