"""Interfaces to embedding and transcription models, whose implementations settings name by dotted paths.

``inference`` implements them, and this app may not import it. ``FILES_EMBEDDER``, ``FILES_SCALE`` and
``FILES_TRANSCRIBER`` name the coroutine functions.
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
    """The tenant and key that a model call is booked to; ``key_id`` is ``NO_KEY`` for an operator."""

    tenant_id: int
    key_id: int
    request_id: str


@dataclass(frozen=True, slots=True)
class RecordingSegment:
    """A segment of a transcript; ``start`` is in seconds."""

    text: str
    start: float


class Embedder(Protocol):
    """Returns one vector for each text, in order, made by the tenant's catalog entry ``name``.

    ``query`` is true for questions and false for chunks, which some models embed differently. ``within`` is the
    timeout in seconds. Each call is metered.

    Raises:
        APIError: 4xx if a retry would fail too (no such entry, it cannot embed, it rejects the input), else 429 or
            5xx; ``UpstreamTimeout`` after that time.
    """

    async def __call__(
        self, caller: Caller, name: str, texts: Sequence[str], *, query: bool, within: float
    ) -> list[list[float]]: ...


class Scale(Protocol):
    """Returns the range of similarities between vectors of the tenant's catalog entry ``name``.

    Each model has its own range of cosines. The first value is that of a question and an unrelated chunk, the
    second that of a question and its answer.
    """

    async def __call__(self, tenant_id: int, name: str) -> tuple[float, float]: ...


class Transcriber(Protocol):
    """Returns the transcript of a recording, made by the tenant's catalog entry ``name``.

    An empty name stands for the only entry that can transcribe. Raises as ``Embedder``.
    """

    async def __call__(
        self, caller: Caller, name: str, path: Path, filename: str, content_type: str
    ) -> list[RecordingSegment]: ...


@cache
def _imported(path: str) -> Any:
    return import_string(path)


def embedder() -> Embedder:
    function: Embedder = _imported(settings.FILES_EMBEDDER)
    return function


def scale() -> Scale:
    function: Scale = _imported(settings.FILES_SCALE)
    return function


def transcriber() -> Transcriber:
    function: Transcriber = _imported(settings.FILES_TRANSCRIBER)
    return function
