"""What this app needs of models, reached by a dotted path as Django reaches its own backends.

Embeddings and transcriptions are made by an app above this one. ``FILES_EMBEDDER`` and ``FILES_TRANSCRIBER`` name
the coroutine functions that make them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.utils.module_loading import import_string


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a call of a model is booked to; ``key_id`` is ``NO_KEY`` for what an operator does."""

    tenant_id: int
    key_id: int
    request_id: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """A stretch of a recording; ``start`` in seconds."""

    text: str
    start: float


class Embedder(Protocol):
    """Returns one vector for each text, in their order, made by the tenant's catalog entry ``name``.

    Some models embed questions otherwise than passages, so ``query`` says what the texts are. ``within`` is how
    many seconds the model is given. Each call is metered.

    Raises:
        APIError: 4xx where it would fail again (no such entry, it cannot embed, the input is refused), else 429
            or 5xx; ``UpstreamTimeout`` where the time is over.
    """

    async def __call__(
        self, caller: Caller, name: str, texts: Sequence[str], *, query: bool, within: float
    ) -> list[list[float]]: ...


class Scale(Protocol):
    """Returns which similarity of vectors of the tenant's entry ``name`` means nothing, and which one everything.

    Cosines of questions and passages lie in a range of each model's own. The first is that of a question and a
    passage that have nothing to do with each other, the second that of a question and its answer.
    """

    async def __call__(self, tenant_id: int, name: str) -> tuple[float, float]: ...


class Transcriber(Protocol):
    """Returns what is said in a recording, made by the tenant's catalog entry ``name``.

    An empty name stands for the only entry that can transcribe. Raises as ``Embedder``.
    """

    async def __call__(
        self, caller: Caller, name: str, path: Path, filename: str, content_type: str
    ) -> list[Spoken]: ...


@cache
def _imported(path: str) -> Any:
    return import_string(path)


def embedder() -> Embedder:
    made: Embedder = _imported(settings.FILES_EMBEDDER)
    return made


def scale() -> Scale:
    made: Scale = _imported(settings.FILES_SCALE)
    return made


def transcriber() -> Transcriber:
    made: Transcriber = _imported(settings.FILES_TRANSCRIBER)
    return made
