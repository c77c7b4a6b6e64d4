"""The embeddings and speech requests of the benchmark, and their expected responses."""

import json
import urllib.request
from array import array
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contestants import Contestant

TEXT = "What does a gateway do?"


class UnexpectedResponseError(Exception):
    """A response does not match the provider's."""


@dataclass(frozen=True)
class Route:
    """A route with one response size. Routes of one `kind` differ in size only."""

    kind: str
    size: str
    path: str
    asked: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.kind}, {self.size}"

    def check(self, answer: bytes, provided: bytes) -> None:
        """Check that a response has the provider's content and not the raw model's name. Raises UnexpectedResponseError."""
        whole = _vectors(answer) == _vectors(provided) if "embeddings" in self.path else answer == provided
        if not whole or b"bench-raw" in answer:
            raise UnexpectedResponseError(f"{self.name}: {answer[:300]!r}")


def _embeddings(encoding: str, count: int, dimensions: int) -> Route:
    asked = {"input": [TEXT] * count, "dimensions": dimensions, "encoding_format": encoding}
    return Route(f"embeddings as {encoding}", f"{count} of {dimensions}", "/embeddings", asked)


def _speech(kib: int) -> Route:
    # The provider generates a KiB of audio per character.
    return Route("speech", f"{kib} KiB", "/audio/speech", {"input": "a" * kib, "voice": "alloy"})


#: For each kind, the smallest response first and the largest last.
ROUTES = (
    *(
        _embeddings(encoding, count, dimensions)
        for encoding in ("base64", "float")
        for count, dimensions in ((1, 8), (1, 1536), (16, 1536))
    ),
    *(_speech(kib) for kib in (1, 16, 256)),
)


#: The kinds of routes, in order.
KINDS = tuple(dict.fromkeys(route.kind for route in ROUTES))


def preceding_chat(kind: str) -> str:
    """The name of the chat load that a kind is compared with, which runs right before it."""
    return f"chats before {kind}"


def expected(route: Route, gateway: Contestant, provider: Contestant, folder: Path) -> Path:
    """Request a response, check it against the provider's, and store it in a file as the expected response.

    All later responses must equal it byte by byte. Raises UnexpectedResponseError.
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
    """The vectors of a response in order, as 32-bit floats."""
    items = json.loads(answer)["data"]
    given = [(item["index"], item["embedding"]) for item in items]
    return [
        (index, array("f", b64decode(vector) if isinstance(vector, str) else vector))
        for index, vector in given
    ]
