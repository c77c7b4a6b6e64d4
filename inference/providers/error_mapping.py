"""Maps a provider's errors to the errors that clients get; for any wire.

Messages are ours. ``code`` and ``param`` come from closed lists: they say what the client can change about its
request and nothing about the provider. Everything else goes to the operator, in ``detail``.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gtapi.errors import (
    APIError,
    BadRequest,
    ContextLengthExceeded,
    RateLimited,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamTimeout,
)
from inference.providers.base import ProviderConnection

#: Longest text of a provider that is stored for the operator, in characters.
DETAIL_LENGTH = 500
#: Longest time that a client is asked to wait, in seconds. SDKs do not wait any longer.
MAX_RETRY_AFTER = 60
#: Parameters that can be too long for a model's context.
_PROMPTS = ("messages", "prompt", "input")


@dataclass(frozen=True, slots=True)
class ReportedError:
    """A provider's error, read from its wire: codes, message and the parameter that it blames."""

    codes: frozenset[str] = frozenset()
    message: str = ""
    param: str = ""


def detail(connection: ProviderConnection, text: str) -> str:
    """Return a provider's text for the operator: shortened, printable and without our credentials."""
    for secret in (connection.api_key, *connection.headers.values()):
        if len(secret) >= 4:
            text = text.replace(secret, "[redacted]")
    printable = "".join(c if c.isprintable() else " " for c in text)
    return f"{connection.name}: {printable}"[:DETAIL_LENGTH]


@dataclass(frozen=True, slots=True)
class ErrorMapping:
    """How one wire reports errors: ``read`` reads the JSON of an error, and the sets hold the codes that matter."""

    read: Callable[[Any], ReportedError]
    context_length: frozenset[str]
    content_filter: frozenset[str]
    quota: frozenset[str]
    #: Parts of messages, in lower case, of providers that send no code for a prompt that is too long.
    context_phrases: tuple[str, ...] = ()

    def from_status(
        self,
        connection: ProviderConnection,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        client_params: Collection[str],
    ) -> APIError:
        """Return the error for a response whose status is not 200; ``body`` may be the beginning of it."""
        reported = self._reported(body)
        text = detail(connection, f"HTTP {status}: {body[:2000].decode(errors='replace')}")
        if status in (400, 413, 422):
            return self._refusal(reported, client_params, text)
        if status == 429:
            wait = {"retry-after": str(_retry_after(headers))}
            if reported.codes & self.quota:
                return UpstreamOverloaded(headers=wait, detail=text)
            return RateLimited(
                "The model is receiving too many requests. Please slow down.", headers=wait, detail=text
            )
        if status in (408, 504):
            return UpstreamTimeout(detail=text)
        return UpstreamFailed(detail=text)

    def from_success(
        self, connection: ProviderConnection, value: Mapping[str, Any], client_params: Collection[str]
    ) -> APIError:
        """Return the error for a 200, or an event of a stream, that is an error or not what was asked for."""
        text = detail(connection, f"HTTP 200: {str(value)[:2000]}")
        if isinstance(value.get("error"), dict):
            reported = self.read(value)
            if reported.codes & (self.context_length | self.content_filter):
                return self._refusal(reported, client_params, text)
        return UpstreamFailed(detail=text)

    def _refusal(self, reported: ReportedError, client_params: Collection[str], text: str) -> APIError:
        """Return the error for a request that the provider found invalid."""
        message = reported.message.lower()
        if reported.codes & self.context_length or any(words in message for words in self.context_phrases):
            param = next((name for name in _PROMPTS if name in client_params), None)
            return ContextLengthExceeded(param=param, detail=text)
        if reported.codes & self.content_filter:
            return BadRequest(
                "The model's content filter refused this request.", code="content_filter", detail=text
            )
        param = reported.param.partition("[")[0].partition(".")[0]
        if param in client_params:
            return BadRequest(f"The model does not accept this value of '{param}'.", param=param, detail=text)
        return BadRequest("The model does not accept this request.", detail=text)

    def _reported(self, body: bytes) -> ReportedError:
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            return ReportedError()
        return self.read(value)


def _retry_after(headers: Mapping[str, str]) -> int:
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return 1
    # In this order "nan" becomes the minimum, not an error.
    return int(min(max(1, seconds), MAX_RETRY_AFTER))
