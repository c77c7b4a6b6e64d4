"""An embedding backend with prepared vectors, so that benchmarks of search do not measure a model."""

from collections.abc import Sequence
from typing import Any

#: The vector of each question.
VECTORS: dict[str, list[float]] = {}


async def embed(
    caller: Any, name: str, texts: Sequence[str], *, query: bool, within: float
) -> list[list[float]]:
    return [VECTORS[text] for text in texts]


async def scale(tenant_id: int, name: str) -> tuple[float, float]:
    return 0.0, 1.0
