"""Embeddings and speech: what is asked for, and what has to come back."""

import json
import urllib.request
from array import array
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contestants import Contestant

TEXT = "What does a gateway do?"


class UnexpectedAnswerError(Exception):
    """An answer was not what the provider's answer has to become."""


@dataclass(frozen=True)
class Route:
    """A route at one size of its answer. `kind` is what several sizes have in common."""

    kind: str
    size: str
    path: str
    asked: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.kind}, {self.size}"

    def check(self, answer: bytes, provided: bytes) -> None:
        """Raises UnexpectedAnswerError unless an answer holds what the provider gave, and not the model's name."""
        whole = _vectors(answer) == _vectors(provided) if "embeddings" in self.path else answer == provided
        if not whole or b"bench-raw" in answer:
            raise UnexpectedAnswerError(f"{self.name}: {answer[:300]!r}")


def _embeddings(encoding: str, count: int, dimensions: int) -> Route:
    asked = {"input": [TEXT] * count, "dimensions": dimensions, "encoding_format": encoding}
    return Route(f"embeddings as {encoding}", f"{count} of {dimensions}", "/embeddings", asked)


def _speech(kib: int) -> Route:
    # The provider makes a KiB of sound for each character.
    return Route("speech", f"{kib} KiB", "/audio/speech", {"input": "a" * kib, "voice": "alloy"})


#: Of each kind the smallest first, which is next to nothing, and the largest last.
ROUTES = (
    *(
        _embeddings(encoding, count, dimensions)
        for encoding in ("base64", "float")
        for count, dimensions in ((1, 8), (1, 1536), (16, 1536))
    ),
    *(_speech(kib) for kib in (1, 16, 256)),
)


#: What there is, by kind: routes that differ in the size of their answer alone.
KINDS = tuple(dict.fromkeys(route.kind for route in ROUTES))


def chat_beside(kind: str) -> str:
    """The name of the load of whole chats that a kind is compared with, which is put on right before it."""
    return f"chats before {kind}"


def expected(route: Route, gateway: Contestant, provider: Contestant, folder: Path) -> Path:
    """Ask for an answer, check it against the provider's own, and return a file with it.

    Every later one has to be the same, byte by byte. Raises UnexpectedAnswerError.
    """
    answer = _ask(route, gateway)
    route.check(answer, _ask(route, provider))
    file = folder / f"{route.name}.expected"
    file.write_bytes(answer)
    return file


def _ask(route: Route, contestant: Contestant) -> bytes:
    request = urllib.request.Request(
        f"http://{contestant.address}/api/tenant/v1{route.path}",
        json.dumps({"model": contestant.model, **route.asked}, separators=(",", ":")).encode(),
        {"authorization": f"Bearer {contestant.key}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return bytes(response.read())


def _vectors(answer: bytes) -> list[tuple[int, "array[float]"]]:
    """The vectors of an answer, in its order, as the 32-bit numbers that they are."""
    items = json.loads(answer)["data"]
    given = [(item["index"], item["embedding"]) for item in items]
    return [
        (index, array("f", b64decode(vector) if isinstance(vector, str) else vector))
        for index, vector in given
    ]
