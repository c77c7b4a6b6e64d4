"""Streams whose events say by their ``type`` what they are: speech, transcriptions, images.

Each type has its own allow-list of fields; events of other types are left out.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import orjson

from inference.shapes import chat_answer as part

JSON = dict[str, Any]
#: A type, several of them, or what tells whether a value may pass.
Kind = type | tuple[type, ...] | Callable[[Any], bool]
Fields = Mapping[str, Kind]


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


_DETAILS: Fields = {
    "text_tokens": int,
    "audio_tokens": int,
    "image_tokens": int,
    "cached_tokens": int,
}


def usage(given: Any) -> JSON | None:
    """Return a usage with the names of the audio and image routes: in tokens, or in seconds of sound."""
    if not isinstance(given, dict):
        return None
    if given.get("type") == "duration":
        seconds = given.get("seconds")
        return {"type": "duration", "seconds": seconds} if isinstance(seconds, int | float) else None
    if not isinstance(given.get("input_tokens"), int):
        return None
    built: JSON = {"type": "tokens"} if given.get("type") == "tokens" else {}
    for name in ("input_tokens", "output_tokens", "total_tokens"):
        built[name] = part.count(given.get(name))
    for name in ("input_token_details", "input_tokens_details", "output_tokens_details"):
        if isinstance(given.get(name), dict):
            built[name] = pick(given[name], _DETAILS)
    return built


class TypedWriter:
    """Writes events by type. ``last`` are the types that end an answer; ``named`` writes ``event:`` lines, too."""

    def __init__(self, types: Mapping[str, Fields], last: frozenset[str], *, named: bool = False) -> None:
        self.usage: JSON | None = None
        self.text: list[str] = []
        self.begun = False
        self.complete = False
        self.ended = 0
        self._types = types
        self._last = last
        self._named = named

    def write(self, chunks: Sequence[JSON]) -> bytes:
        """Return the events for chunks that arrived together."""
        return b"".join([self._write(chunk) for chunk in chunks])

    def _write(self, chunk: JSON) -> bytes:
        kind = chunk["type"]
        fields = self._types.get(kind)
        if fields is None:
            return b""
        event = {"type": kind, **pick(chunk, fields)}
        if (used := usage(chunk.get("usage"))) is not None:
            event["usage"] = self.usage = used
        if isinstance(event.get("logprobs"), list):
            event["logprobs"] = token_logprobs(event["logprobs"])
        self.begun = True
        if kind in self._last:
            self.complete = True
            self.ended += 1
        self.text.append("." if kind not in self._last else "")
        name = b"event: %s\n" % kind.encode() if self._named else b""
        return name + b"data: " + orjson.dumps(event) + b"\n\n"

    def end(self, usage: JSON) -> bytes:
        """Return nothing: the last event is the provider's own."""
        return b""


def token_logprobs(given: Any) -> list[JSON]:
    """Return the log probabilities of a transcript's tokens."""
    fields: Fields = {"token": str, "logprob": (int, float), "bytes": integers}
    return (
        [pick(token, fields) for token in given if isinstance(token, dict)] if isinstance(given, list) else []
    )
