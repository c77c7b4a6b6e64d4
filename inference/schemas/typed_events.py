"""Streams whose events say by their ``type`` what they are: speech, transcriptions, images.

Each type has its own allow-list of fields; events of other types are left out.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import orjson

from gtapi.errors import UpstreamFailed
from inference.schemas import chat_response as part

JSON = dict[str, Any]
#: A type, several of them, or what tells whether a value may pass.
Kind = type | tuple[type, ...] | Callable[[Any], bool]
Fields = Mapping[str, Kind]
#: Makes our event of a provider's, without its type; None where what it is there for is missing.
Build = Callable[[JSON], JSON | None]
NUMBER = (int, float)


def pick(given: Any, fields: Fields) -> JSON:
    """Return those of ``fields`` that an object has with the right kind of value; a boolean is no number."""
    if not isinstance(given, dict):
        return {}
    return {name: given[name] for name, kind in fields.items() if name in given and _fits(given[name], kind)}


def _fits(value: Any, kind: Kind) -> bool:
    if isinstance(kind, type | tuple):
        return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    return kind(value)


def among(*choices: str) -> Callable[[Any], bool]:
    """Let a text of a closed list pass: a provider's own word for it would tell who it is."""
    known: Collection[str] = frozenset(choices)
    return lambda value: isinstance(value, str) and value in known


def like(pattern: str) -> Callable[[Any], bool]:
    """Let a text of one form pass."""
    form = re.compile(pattern, re.ASCII)
    return lambda value: isinstance(value, str) and form.fullmatch(value) is not None


def integers(value: Any) -> bool:
    """Let a list of integers pass."""
    return isinstance(value, list) and all(type(item) is int for item in value)


def token_usage(given: Any) -> JSON | None:
    """Return a usage in the names of the audio and image routes; None where it is not one of tokens."""
    if not isinstance(given, dict) or not isinstance(given.get("input_tokens"), int):
        return None
    read, written = part.count(given["input_tokens"]), part.count(given.get("output_tokens"))
    total = part.count(given.get("total_tokens")) or read + written
    return {"input_tokens": read, "output_tokens": written, "total_tokens": total}


def token_details(given: Any, names: Collection[str]) -> JSON:
    """Return how many tokens were of which kind; what is not said is none."""
    counts = given if isinstance(given, dict) else {}
    return {name: part.count(counts.get(name)) for name in names}


class TypedWriter:
    """Writes events by type.

    The event that ends the answer is held back until the usage record is durable: whoever has it has all. An event
    without what it is there for, or an end without that last event, is a failure of the provider's.
    """

    def __init__(self, builds: Mapping[str, Build], last: str, *, named: bool = False) -> None:
        """Write the types in ``builds``, of which ``last`` ends an answer; ``named`` ones get ``event:`` lines."""
        #: What the provider said that it used, as it said it.
        self.usage: JSON | None = None
        #: Holds a mark once something was made: what it is, is no text.
        self.text: list[str] = []
        self.begun = False
        #: How many times the last event came: once for each image.
        self.ended = 0
        self._builds = builds
        self._last = last
        self._named = named
        self._held: JSON | None = None

    @property
    def complete(self) -> bool:
        return self.ended > 0

    def write(self, chunks: Sequence[JSON]) -> bytes:
        """Return the events for chunks that arrived together."""
        return b"".join([self._write(chunk) for chunk in chunks])

    def _write(self, chunk: JSON) -> bytes:
        kind = chunk["type"]
        build = self._builds.get(kind)
        if build is None:
            return b""
        built = build(chunk)
        if built is None:
            raise UpstreamFailed(detail=f"an event of type {kind} without what it is there for")
        if isinstance(chunk.get("usage"), dict):
            self.usage = chunk["usage"]
        self.begun = True
        if not self.text:
            self.text.append(kind)
        event = {"type": kind, **built}
        if kind != self._last:
            return self._dump(event)
        self.ended += 1
        # Where one more follows, the one before it was not the end.
        earlier, self._held = self._held, event
        return self._dump(earlier) if earlier is not None else b""

    def _dump(self, event: JSON) -> bytes:
        name = b"event: %s\n" % event["type"].encode() if self._named else b""
        return name + b"data: " + orjson.dumps(event) + b"\n\n"

    def end(self, usage: JSON) -> bytes:
        """Take the usage for a last event that needs one and has none; the event itself is left to ``done``."""
        if self._held is None:
            raise UpstreamFailed(detail="the stream ended without its last event")
        if usage:
            self._held.setdefault("usage", usage)
        return b""

    def done(self) -> bytes:
        """Return the last event."""
        return self._dump(self._held) if self._held is not None else b""
