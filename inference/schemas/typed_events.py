"""Event streams of speech, transcriptions and images, whose events have a ``type``.

Each type has its own allow-list of fields; events of other types are left out.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import orjson

from gtapi.errors import UpstreamFailed
from gtapi.json_types import JSON
from inference.schemas import chat_response as part

#: A type, several of them, or a predicate for values that may pass.
Kind = type | tuple[type, ...] | Callable[[Any], bool]
Fields = Mapping[str, Kind]
#: Builds our event from a provider's, without its type; None where its content is missing.
Build = Callable[[JSON], JSON | None]
NUMBER = (int, float)


def pick(value: Any, fields: Fields) -> JSON:
    """Return those of ``fields`` that an object has with the right kind of value; a boolean is not a number."""
    if not isinstance(value, dict):
        return {}
    return {name: value[name] for name, kind in fields.items() if name in value and _fits(value[name], kind)}


def _fits(value: Any, kind: Kind) -> bool:
    if isinstance(kind, type | tuple):
        return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    return kind(value)


def among(*choices: str) -> Callable[[Any], bool]:
    """Accept only the given texts: a provider's own wording would reveal which provider it is."""
    known: Collection[str] = frozenset(choices)
    return lambda value: isinstance(value, str) and value in known


def like(pattern: str) -> Callable[[Any], bool]:
    """Accept a text that matches a pattern."""
    form = re.compile(pattern, re.ASCII)
    return lambda value: isinstance(value, str) and form.fullmatch(value) is not None


def integers(value: Any) -> bool:
    """Accept a list of integers."""
    return isinstance(value, list) and all(type(item) is int for item in value)


def token_usage(reported: Any) -> JSON | None:
    """Return a usage object of the audio and image routes; None if it has no token counts."""
    if not isinstance(reported, dict) or not isinstance(reported.get("input_tokens"), int):
        return None
    input_tokens = part.count(reported["input_tokens"])
    output_tokens = part.count(reported.get("output_tokens"))
    total = part.count(reported.get("total_tokens")) or input_tokens + output_tokens
    return {"input_tokens": input_tokens, "output_tokens": output_tokens, "total_tokens": total}


def token_details(reported: Any, names: Collection[str]) -> JSON:
    """Return the token counts by kind; those not reported are 0."""
    counts = reported if isinstance(reported, dict) else {}
    return {name: part.count(counts.get(name)) for name in names}


class TypedWriter:
    """Writes events by type.

    The event that ends the response is held back until the usage event is durable: with it the client has
    everything. An event without its content, or an end without that last event, is an error of the provider.
    """

    def __init__(self, builds: Mapping[str, Build], last: str, *, named: bool = False) -> None:
        """Write the types in ``builds``, of which ``last`` ends a response; ``named`` ones get ``event:`` lines."""
        #: The usage that the provider reported, unchanged.
        self.usage: JSON | None = None
        #: Not empty once there was output, although that is not text.
        self.text: list[str] = []
        self.begun = False
        #: How many last events have arrived: one for each image.
        self.completed = 0
        self._builds = builds
        self._last = last
        self._named = named
        self._last_event: JSON | None = None

    @property
    def complete(self) -> bool:
        return self.completed > 0

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
            raise UpstreamFailed(detail=f"an event of type {kind} without its content")
        if isinstance(chunk.get("usage"), dict):
            self.usage = chunk["usage"]
        self.begun = True
        if not self.text:
            self.text.append(kind)
        event = {"type": kind, **built}
        if kind != self._last:
            return self._dump(event)
        self.completed += 1
        # Another last event follows, so the held-back one does not end the response.
        earlier, self._last_event = self._last_event, event
        return self._dump(earlier) if earlier is not None else b""

    def _dump(self, event: JSON) -> bytes:
        name = b"event: %s\n" % event["type"].encode() if self._named else b""
        return name + b"data: " + orjson.dumps(event) + b"\n\n"

    def end(self, usage: JSON) -> bytes:
        """Add the usage to a last event that has none; ``done`` returns the event itself."""
        if self._last_event is None:
            raise UpstreamFailed(detail="the stream ended without its last event")
        if usage:
            self._last_event.setdefault("usage", usage)
        return b""

    def done(self) -> bytes:
        """Return the last event."""
        return self._dump(self._last_event) if self._last_event is not None else b""
