"""``UsageEvent``, the record of one authenticated request, and its encoding as a line of JSON.

The fields of ``UsageEvent`` are the only declaration of the usage table's columns. The model ``UsageRecord``, the
statements of the drain and the limits that ``clean`` enforces derive from them.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints
from uuid import UUID

import orjson
from django.db import models
from django.db.backends.base.operations import BaseDatabaseOperations

from gtapi.ids import uuid7

if TYPE_CHECKING:
    from gtapi.errors import APIError

#: An encoded event longer than this probably contains a text that exceeds its column.
LONG_LINE = 4096
#: The last second of the year 9999, the latest that Python's ``datetime`` can represent.
LAST_SECOND = 253_402_300_799


@dataclass(slots=True)
class UsageEvent:
    """What is recorded of one authenticated request; ``created_at`` is in Unix seconds.

    To add a column, add a field here and run ``makemigrations``. A column added after a release needs a
    ``db_default``, since processes of the previous release still insert rows during an upgrade.
    """

    id: Annotated[UUID, models.UUIDField(primary_key=True, default=uuid7, editable=False)]
    created_at: Annotated[float, models.DateTimeField()]
    tenant_id: Annotated[int, models.BigIntegerField()]
    key_id: Annotated[int, models.BigIntegerField()]
    request_id: Annotated[str, models.CharField(max_length=40)]
    route: Annotated[str, models.CharField(max_length=60)]
    model: Annotated[
        str, models.CharField(max_length=200, blank=True, help_text="The name that the client sent")
    ] = ""
    agent_version: Annotated[int | None, models.IntegerField(null=True)] = None
    provider: Annotated[str, models.CharField(max_length=100, blank=True)] = ""
    raw_model: Annotated[str, models.CharField(max_length=200, blank=True)] = ""
    streamed: Annotated[bool, models.BooleanField()] = False
    status: Annotated[
        int, models.SmallIntegerField(help_text="HTTP status; 499 if the client disconnected")
    ] = 200
    error_code: Annotated[str, models.CharField(max_length=60, blank=True)] = ""
    # The column is unlimited; longer details are cut.
    error_detail: Annotated[str, models.TextField(max_length=2000, blank=True)] = ""
    input_tokens: Annotated[int, models.BigIntegerField()] = 0
    output_tokens: Annotated[int, models.BigIntegerField()] = 0
    cached_tokens: Annotated[int, models.BigIntegerField()] = 0
    reasoning_tokens: Annotated[int, models.BigIntegerField()] = 0
    characters: Annotated[
        int, models.BigIntegerField(db_default=0, help_text="Characters of text converted to speech")
    ] = 0
    audio_ms: Annotated[
        int, models.BigIntegerField(db_default=0, help_text="Milliseconds of audio transcribed")
    ] = 0
    images: Annotated[int, models.IntegerField(db_default=0, help_text="Images generated")] = 0
    estimated: Annotated[
        bool, models.BooleanField(help_text="The gateway counted the tokens; the provider reported none")
    ] = False
    latency_ms: Annotated[int, models.IntegerField()] = 0
    first_token_ms: Annotated[int | None, models.IntegerField(null=True)] = None

    def fail(self, error: "APIError") -> None:
        """Note the error that the request ended with."""
        self.status = error.status
        self.error_code = error.code or ""
        self.error_detail = error.detail

    def abandon(self) -> None:
        """Note that the client disconnected before it had the whole response; 499 is nginx's status for that."""
        self.status = 499
        self.error_code = "client_closed_request"


def model_fields() -> Iterator[tuple[str, "models.Field[Any, Any]"]]:
    """Yield the columns of the usage table as model fields, with the defaults of ``UsageEvent``."""
    annotations = get_type_hints(UsageEvent, include_extras=True)
    for column in fields(UsageEvent):
        field = annotations[column.name].__metadata__[0].clone()
        if column.default not in (MISSING, None):
            field.default = column.default
        yield column.name, field


def pack(event: UsageEvent) -> bytes:
    """Return the event as one line of JSON, without a newline.

    Raises:
        ValueError: the id, time, tenant or key is invalid.
    """
    try:
        # Clients and providers choose these two texts: check their length before encoding them.
        if len(event.model) + len(event.error_detail) < LONG_LINE:
            line = orjson.dumps(event)
            if len(line) < LONG_LINE and b"\\u0000" not in line:
                return line
    except TypeError:
        # A lone surrogate, an integer beyond 64 bits or a wrong type, which `clean` corrects.
        pass
    return orjson.dumps(clean(asdict(event)))


def unpack(line: bytes) -> UsageEvent:
    """Return the event of a line, corrected to fit the table. Raises ValueError if the line is not an event."""
    values = orjson.loads(line)
    if not isinstance(values, dict):
        raise ValueError("the line is not a JSON object")  # noqa: TRY004 - one kind of error for a bad line
    return clean(values)


def clean(values: Mapping[str, Any]) -> UsageEvent:
    """Return an event that fits its columns: texts cut and sanitized, numbers clamped to the column's range.

    Raises:
        ValueError: the id, time, tenant or key is invalid.
    """
    return UsageEvent(**{name: cleaner(values.get(name)) for name, cleaner in _CLEANERS.items()})


def _clean_text(value: Any, *, limit: int) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    if len(text) > limit:
        text = text[:limit]
    # PostgreSQL cannot store NUL, and UTF-8 cannot encode lone surrogates.
    return text if text.isascii() and "\0" not in text else _sanitize(text)


def _sanitize(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _clean_number(value: Any, *, limit: int, default: int | None) -> int | None:
    if not isinstance(value, int) and not (isinstance(value, float) and math.isfinite(value)):
        return default
    return max(-limit, min(limit, int(value)))


def _clean_uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(str(value))


def _clean_time(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LAST_SECOND:
        raise ValueError("created_at is not a valid time")
    return value


def _clean_row_id(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError("the id of a tenant or key is invalid")
    return value


def _cleaner(field: "models.Field[Any, Any]") -> Callable[[Any], Any]:
    match field:
        case models.UUIDField():
            return _clean_uuid
        case models.DateTimeField():
            return _clean_time
        case models.BooleanField():
            return bool
        case models.CharField() | models.TextField():
            return partial(_clean_text, limit=field.max_length or 0)
    if not field.null and not field.has_default():
        return _clean_row_id
    _, limit = BaseDatabaseOperations.integer_field_ranges[field.get_internal_type()]
    return partial(_clean_number, limit=limit, default=None if field.null else 0)


_CLEANERS = {name: _cleaner(field) for name, field in model_fields()}
#: The names of the columns, in the order of the table.
COLUMNS = tuple(_CLEANERS)
