"""From what a provider answers in place of a completion to what the client is told of it.

The words are ours. ``code`` and ``param`` come from closed lists: they say what the client can change about its
own request and nothing about the provider. Everything else is for the operator, in ``detail``.
"""

from collections.abc import Collection, Mapping
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

#: Longest text of a provider that is kept for the operator, in characters.
DETAIL_LENGTH = 500
#: Longest time that a client is asked to wait, in seconds: SDKs do not wait for longer ones.
MAX_RETRY_AFTER = 60
_CONTEXT_CODES = {"context_length_exceeded", "string_above_max_length", "exceed_context_size_error"}
_CONTEXT_WORDS = ("context length", "context window", "context size", "maximum context", "prompt is too long")
_FILTER_CODES = {"content_filter", "content_policy_violation", "moderation_blocked"}
_QUOTA_CODES = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}


def detail(connection: ProviderConnection, said: str) -> str:
    """Return what the operator may read of ``said``: shortened, printable and without our credentials."""
    secrets = [connection.api_key, *connection.headers.values()]
    for secret in secrets:
        if len(secret) >= 4:
            said = said.replace(secret, "[redacted]")
    printable = "".join(c if c.isprintable() else " " for c in said)
    return f"{connection.name}: {printable}"[:DETAIL_LENGTH]


def from_status(
    connection: ProviderConnection,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    client_params: Collection[str],
) -> APIError:
    """Return the error for an answer whose status is not 200.

    Args:
        connection: the provider that sent it.
        status: the HTTP status.
        headers: the answer's headers.
        body: the answer's body, or the beginning of it.
        given: the parameters that the client sent.
    """
    error = _error_object(body)
    said = detail(connection, f"HTTP {status}: {body[:2000].decode(errors='replace')}")
    if status in (400, 413, 422):
        return refused(error, client_params, said)
    if status == 429:
        wait = {"retry-after": str(_retry_after(headers))}
        if _codes(error) & _QUOTA_CODES:
            return UpstreamOverloaded(headers=wait, detail=said)
        return RateLimited(
            "The model is receiving too many requests. Please slow down.", headers=wait, detail=said
        )
    if status in (408, 504):
        return UpstreamTimeout(detail=said)
    return UpstreamFailed(detail=said)


def refused(error: Mapping[str, Any], client_params: Collection[str], said: str) -> APIError:
    """Return the error for a request that the provider found invalid."""
    message = str(error.get("message", "")).lower()
    codes = _codes(error)
    if codes & _CONTEXT_CODES or any(words in message for words in _CONTEXT_WORDS):
        param = next((name for name in ("messages", "prompt", "input") if name in client_params), None)
        return ContextLengthExceeded(param=param, detail=said)
    if codes & _FILTER_CODES:
        return BadRequest(
            "The model's content filter refused this request.", code="content_filter", detail=said
        )
    param = str(error.get("param") or "").partition("[")[0].partition(".")[0]
    if param in client_params:
        return BadRequest(f"The model does not accept this value of '{param}'.", param=param, detail=said)
    return BadRequest("The model does not accept this request.", detail=said)


def from_answer(
    connection: ProviderConnection, answer: Mapping[str, Any], client_params: Collection[str]
) -> APIError:
    """Return the error for a 200, or an event of a stream, that is an error or no completion at all."""
    error = answer.get("error")
    said = detail(connection, f"HTTP 200: {str(answer)[:2000]}")
    if isinstance(error, dict) and _codes(error) & (_CONTEXT_CODES | _FILTER_CODES):
        return refused(error, client_params, said)
    return UpstreamFailed(detail=said)


def _codes(error: Mapping[str, Any]) -> set[str]:
    return {code for code in (error.get("code"), error.get("type")) if isinstance(code, str)}


def _error_object(body: bytes) -> dict[str, Any]:
    """Return the error in an answer's body, where it has a shape that servers commonly use."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if isinstance(answer, list) and answer:
        answer = answer[0]
    if not isinstance(answer, dict):
        return {}
    error = answer.get("error", answer)
    if isinstance(error, dict):
        return error
    return {"message": error} if isinstance(error, str) else {}


def _retry_after(headers: Mapping[str, str]) -> int:
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return 1
    # In this order "nan" becomes the least time and no error.
    return int(min(max(1, seconds), MAX_RETRY_AFTER))
