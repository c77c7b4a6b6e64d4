"""One usage record on its way from a request to the table: a line of JSON, and the values a column can hold."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any
from uuid import UUID

import orjson

#: The longest text of each column, in characters. The one of ``error_detail`` is ours: its column has no limit.
TEXTS = {
    "request_id": 40,
    "route": 60,
    "model": 200,
    "provider": 100,
    "raw_model": 200,
    "error_code": 60,
    "error_detail": 2000,
}
#: The largest number of each column.
NUMBERS = {
    "status": 2**15 - 1,
    "input_tokens": 2**63 - 1,
    "output_tokens": 2**63 - 1,
    "cached_tokens": 2**63 - 1,
    "reasoning_tokens": 2**63 - 1,
    "characters": 2**63 - 1,
    "audio_ms": 2**63 - 1,
    "images": 2**31 - 1,
    "latency_ms": 2**31 - 1,
}
OPTIONAL_NUMBERS = {"agent_version": 2**31 - 1, "first_token_ms": 2**31 - 1}
FLAGS = ("streamed", "estimated")
#: A line longer than this holds a text that is too long, or nearly.
LONG_LINE = 4096
#: The last second of the year 9999, beyond which Python has no date.
LAST_SECOND = 253_402_300_799


@dataclass(slots=True)
class UsageEvent:
    """What is recorded of one authenticated request; ``created_at`` is in Unix seconds."""

    id: UUID
    created_at: float
    tenant_id: int
    key_id: int
    request_id: str
    route: str
    model: str = ""
    agent_version: int | None = None
    provider: str = ""
    raw_model: str = ""
    streamed: bool = False
    status: int = 200
    error_code: str = ""
    error_detail: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    characters: int = 0
    audio_ms: int = 0
    images: int = 0
    estimated: bool = False
    latency_ms: int = 0
    first_token_ms: int | None = None


COLUMNS = tuple(field.name for field in fields(UsageEvent))


def pack(event: UsageEvent) -> bytes:
    """Return the event as one line of JSON, without the line's end.

    Raises:
        ValueError: id, moment, tenant or key are not what they have to be.
    """
    try:
        # The two texts that others choose: a long one is cut before it costs anything.
        if len(event.model) + len(event.error_detail) < LONG_LINE:
            line = orjson.dumps(event)
            if len(line) < LONG_LINE and b"\\u0000" not in line:
                return line
    except TypeError:
        # Half a surrogate pair, a number beyond 64 bits or a wrong type: what can be kept is kept.
        pass
    return orjson.dumps(clean(asdict(event)))


def unpack(line: bytes) -> UsageEvent:
    """Return the event of a line, fit for the table whatever the line says. Raises ValueError for garbage."""
    values = orjson.loads(line)
    if not isinstance(values, dict):
        raise ValueError("the line is not an object")  # noqa: TRY004 - one kind of error for a bad line
    return clean(values)


def clean(values: Mapping[str, Any]) -> UsageEvent:
    """Return an event that its columns can hold: texts cut and scrubbed, numbers within their range.

    Raises:
        ValueError: id, moment, tenant or key are not what they have to be.
    """
    cleaned: dict[str, Any] = {name: _text(values.get(name), limit) for name, limit in TEXTS.items()}
    for name, limit in NUMBERS.items():
        cleaned[name] = _number(values.get(name), limit) or 0
    for name, limit in OPTIONAL_NUMBERS.items():
        cleaned[name] = _number(values.get(name), limit)
    for name in FLAGS:
        cleaned[name] = bool(values.get(name))
    return UsageEvent(
        id=_id(values.get("id")),
        created_at=_moment(values.get("created_at")),
        tenant_id=_owner(values.get("tenant_id")),
        key_id=_owner(values.get("key_id")),
        **cleaned,
    )


def _text(value: Any, limit: int) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    if len(text) > limit:
        text = text[:limit]
    # PostgreSQL stores no NUL, and UTF-8 has no half of a surrogate pair.
    return text if text.isascii() and "\0" not in text else _scrub(text)


def _scrub(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _number(value: Any, limit: int) -> int | None:
    if not isinstance(value, int) and not (isinstance(value, float) and math.isfinite(value)):
        return None
    return max(-limit, min(limit, int(value)))


def _id(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(str(value))


def _moment(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LAST_SECOND:
        raise ValueError("created_at is not a moment")
    return value


def _owner(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError("a tenant or key is not an id")
    return value
