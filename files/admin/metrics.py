"""What datasets hold, counted for a page of them in one query."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce, JSONObject

from files.models import DatasetFile

#: States in which a worker still has something to do.
WORKING = (DatasetFile.State.UPLOADED, DatasetFile.State.PROCESSING)


@dataclass(frozen=True, slots=True)
class Summary:
    """Files by state, and what they hold together."""

    files: int = 0
    ready: int = 0
    working: int = 0
    failed: int = 0
    bytes: int = 0
    chunks: int = 0
    tokens: int = 0


def summary_of_each() -> Subquery:
    """Return the figures of a dataset's files as an object, for ``annotate``; None where it has no file."""
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
        .values(found=JSONObject(**{name: F(f"{name}_n") for name in counts}))
    )


def summary(dataset: Any) -> Summary:
    """Return the figures of a dataset that was fetched with ``summary_of_each`` as its ``figures``."""
    return Summary(**(dataset.figures or {}))
