"""FakeOptions of a fake model, written behind its raw model id: ``fake-chat?delay=2&error=429``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from gtapi.errors import UpstreamFailed

#: Errors that are not a status, and the status that carries them.
NAMED_ERRORS = {"context_length": 400, "content_filter": 400, "quota": 429}


@dataclass(frozen=True, slots=True)
class FakeOptions:
    """What a fake model does. Times are in seconds."""

    #: Before the response, or before the first byte of a stream.
    delay: float = 0
    #: Between two events of a stream.
    chunk_delay: float = 0
    #: A status, or one of ``NAMED_ERRORS``; empty: none.
    error: str = ""
    #: The parameter that an error blames.
    param: str = ""
    #: What an error with the status 429 asks to wait.
    retry_after: str = "1"
    #: After how many events a stream breaks off; None: it does not.
    fail_after: int | None = None
    #: The text of responses; empty: made of the request.
    reply: str = ""
    #: Numbers in a vector, unless the request says so.
    dimensions: int = 256


def _seconds(value: str) -> float:
    seconds = float(value)
    if not 0 <= seconds <= 86_400:
        raise ValueError
    return seconds


def _error(value: str) -> str:
    if value not in NAMED_ERRORS and not (value.isdecimal() and 400 <= int(value) <= 599):
        raise ValueError
    return value


def _dimensions(value: str) -> int:
    dimensions = int(value)
    if not 1 <= dimensions <= 4096:
        raise ValueError
    return dimensions


_READERS: Mapping[str, Callable[[str], Any]] = {
    "delay": _seconds,
    "chunk_delay": _seconds,
    "error": _error,
    "param": str,
    "retry_after": str,
    "fail_after": int,
    "reply": str,
    "dimensions": _dimensions,
}


@lru_cache(maxsize=1024)
def read(model: str) -> FakeOptions:
    """Read the options in a raw model id.

    Raises:
        UpstreamFailed: an option is unknown or has an invalid value; ``detail`` says which.
    """
    values: dict[str, Any] = {}
    for name, value in parse_qsl(model.partition("?")[2], keep_blank_values=True):
        if name not in _READERS:
            options = ", ".join(_READERS)
            raise UpstreamFailed(
                detail=f"the raw model id has the unknown option '{name}'; the options are {options}"
            )
        try:
            values[name] = _READERS[name](value)
        except ValueError:
            raise UpstreamFailed(
                detail=f"the raw model id has an invalid value for '{name}': {value[:40]}"
            ) from None
    return FakeOptions(**values)
