"""The adapter of the fake provider. The same request always gets the same response."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any

import orjson

from gtapi.errors import APIError, UpstreamFailed, UpstreamTimeout
from gtapi.json_types import JSON
from inference.providers.base import Body, ConnectionTest, ProviderConnection
from inference.providers.error_mapping import ErrorMapping, ReportedError
from inference.providers.fake import media, text, vectors
from inference.providers.fake.options import NAMED_ERRORS
from inference.providers.fake.request import FakeRequest

#: The models that "Test this provider" offers. Any other raw model id works, too.
MODELS = (
    "fake-chat",
    "fake-embed",
    "fake-moderation",
    "fake-rerank",
    "fake-speech",
    "fake-transcribe",
    "fake-image",
    "fake-chat?delay=2&chunk_delay=0.2",
    "fake-chat?error=429&retry_after=5",
)


@dataclass(frozen=True, slots=True)
class FakeOperation:
    """How an operation is answered: whole, and as events."""

    whole: Callable[[FakeRequest], JSON] | None
    events: Callable[[FakeRequest], Iterator[JSON] | None] | None = None


OPERATIONS: dict[str, FakeOperation] = {
    "chat": FakeOperation(text.chat, text.chat_events),
    "completions": FakeOperation(text.completion, text.completion_events),
    "embeddings": FakeOperation(vectors.embeddings),
    "moderations": FakeOperation(vectors.moderations),
    "rerank": FakeOperation(vectors.rerank),
    "speech": FakeOperation(None, media.speech_events),
    "transcriptions": FakeOperation(media.transcript, media.transcript_events),
    "translations": FakeOperation(media.transcript),
    "image_generations": FakeOperation(media.images, media.image_events),
    "image_edits": FakeOperation(media.images, media.image_events),
    "image_variations": FakeOperation(media.images),
}


def _read_error(value: Any) -> ReportedError:
    return ReportedError(frozenset({value["code"]}), param=value["param"])


ERRORS = ErrorMapping(
    read=_read_error,
    context_length=frozenset({"context_length"}),
    content_filter=frozenset({"content_filter"}),
    quota=frozenset({"quota"}),
)


class Fake:
    """The adapter for the kind ``fake``."""

    label = "Fake (answers without a network)"
    operations = frozenset(OPERATIONS)
    has_network = False

    async def fetch_json(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> JSON:
        whole = OPERATIONS[operation].whole
        if whole is None:
            raise UpstreamFailed(detail=f"{connection.name}: {operation} has no JSON response")
        request = await _begin(connection, operation, body, client_params, connection.timeouts.total)
        # In a thread, since long inputs and files take a while.
        return await asyncio.to_thread(whole, request)

    async def fetch_text(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> str:
        request = await _begin(connection, operation, body, client_params, connection.timeouts.total)
        return await asyncio.to_thread(media.transcript_text, request)

    async def stream_events(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> AsyncGenerator[list[JSON], None]:
        make = OPERATIONS[operation].events
        started = monotonic()
        request = await _begin(connection, operation, body, client_params, connection.timeouts.first_byte)
        events = make(request) if make else None
        if events is None:
            raise _unsupported_format(connection, client_params)
        async for event in _paced(connection, request, events, started):
            yield [event]

    async def stream_bytes(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> AsyncGenerator[bytes, None]:
        started = monotonic()
        request = await _begin(connection, operation, body, client_params, connection.timeouts.first_byte)
        pieces = media.speech(request)
        if pieces is None:
            raise _unsupported_format(connection, client_params)
        async for piece in _paced(connection, request, pieces, started):
            yield piece

    def check_connection(self, connection: ProviderConnection) -> ConnectionTest:
        return ConnectionTest(True, f"{connection.name} answers without a network.", MODELS)


async def _begin(
    connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str], limit: float
) -> FakeRequest:
    """Return the request after the model's delay, or raise the model's error."""
    request = FakeRequest.of(operation, body)
    await _wait(connection, request.options.delay, min(limit, connection.timeouts.total))
    options = request.options
    if options.error:
        raise _error(connection, client_params, options.error, options.param, options.retry_after)
    return request


async def _paced(
    connection: ProviderConnection, request: FakeRequest, items: Iterator[Any], started: float
) -> AsyncGenerator[Any, None]:
    """Yield items with the model's delay between them, until it breaks off."""
    options = request.options
    for number, item in enumerate(items):
        if number == options.fail_after:
            raise UpstreamFailed(detail=f"{connection.name}: the stream broke off after {number} events")
        if number and options.chunk_delay:
            left = connection.timeouts.total - (monotonic() - started)
            await _wait(connection, options.chunk_delay, min(connection.timeouts.between_chunks, left))
        yield item


async def _wait(connection: ProviderConnection, seconds: float, limit: float) -> None:
    if seconds:
        await asyncio.sleep(max(0.0, min(seconds, limit)))
    if seconds > limit:
        raise UpstreamTimeout(detail=f"{connection.name}: silent for too long")


def _unsupported_format(connection: ProviderConnection, client_params: Collection[str]) -> APIError:
    return _error(connection, client_params, "400", "response_format")


def _error(
    connection: ProviderConnection,
    client_params: Collection[str],
    code: str,
    param: str,
    retry_after: str = "",
) -> APIError:
    """Return the error for a status, or for one of ``NAMED_ERRORS``."""
    status = NAMED_ERRORS.get(code) or int(code)
    body = orjson.dumps({"code": code, "param": param})
    return ERRORS.from_status(connection, status, {"retry-after": retry_after}, body, client_params)
