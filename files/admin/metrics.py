"""Figures of datasets, annotated on a list of them in one query."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce, JSONObject

from files.models import DatasetFile

#: States of files that are waiting or being processed.
WORKING = (DatasetFile.State.UPLOADED, DatasetFile.State.PROCESSING)


@dataclass(frozen=True, slots=True)
class Summary:
    """Numbers of files by state, and their total bytes, chunks and tokens."""

    files: int = 0
    ready: int = 0
    working: int = 0
    failed: int = 0
    bytes: int = 0
    chunks: int = 0
    tokens: int = 0


def summary_of_each() -> Subquery:
    """Return a subquery for ``annotate`` with the figures of a dataset; None if it has no files."""
    counts = {
        "files": Count("pk"),
        "ready": Count("pk", filter=Q(state=DatasetFile.State.READY)),
        "working": Count("pk", filter=Q(state__in=WORKING)),
        "failed": Count("pk", filter=Q(state=DatasetFile.State.FAILED)),
        "bytes": Coalesce(Sum("file__bytes"), 0),
        "chunks": Coalesce(Sum("chunk_count"), 0),
        "tokens": Coalesce(Sum("tokens"), 0),
    }
    named = {f"{name}_n": count for name, count in counts.items()}
    return Subquery(
        DatasetFile.objects.filter(dataset=OuterRef("pk"))
        .order_by()
        .values("dataset")
        .annotate(**named)
        .values(figures=JSONObject(**{name: F(f"{name}_n") for name in counts}))
    )


def summary(dataset: Any) -> Summary:
    """Return the figures of a dataset that was annotated with ``figures=summary_of_each()``."""
    return Summary(**(dataset.figures or {}))
