"""The adapter for providers with OpenAI's API: OpenAI itself, and most servers and hosts of models."""

from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from gtapi.errors import APIError, UpstreamFailed
from gtapi.json_types import JSON
from inference.providers import connection_check, exchange
from inference.providers.base import Body, ConnectionTest, Form, ProviderConnection, StreamCut
from inference.providers.error_mapping import ErrorMapping, ReportedError, detail
from inference.providers.sse import EventParser, EventTooLarge

DONE = b"[DONE]"
EVENT_STREAM = "text/event-stream"
#: Media types of errors and error pages, which are never binary content.
ERROR_TYPES = {"application/json", "text/html"}
#: Media types of a whole response to a request for a stream.
WHOLE_TYPES = {"application/json", "text/plain"}
#: The required fields of responses that hold text; the other ones hold lists.
TEXT_FIELDS = {"text", "type"}


@dataclass(frozen=True, slots=True)
class OpenAIRoute:
    """A route of OpenAI's API: its path, and the required field of its responses and of its events."""

    path: str
    response_field: str = ""
    event_field: str = "type"
    #: Whether its streams report usage only on request.
    stream_usage: bool = False
    #: Makes events of a whole response, which some servers send even if a stream was requested.
    to_events: Callable[[JSON], list[JSON]] | None = None


def _transcript_events(response: JSON) -> list[JSON]:
    return [
        {"type": "transcript.text.delta", "delta": response["text"]},
        {**response, "type": "transcript.text.done"},
    ]


OPERATIONS: dict[str, OpenAIRoute] = {
    "chat": OpenAIRoute("/chat/completions", "choices", "choices", stream_usage=True),
    "completions": OpenAIRoute("/completions", "choices", "choices", stream_usage=True),
    "embeddings": OpenAIRoute("/embeddings", "data"),
    "moderations": OpenAIRoute("/moderations", "results"),
    # Not a route of OpenAI's, but of many servers with its API, in the shape of Cohere's and Jina's.
    "rerank": OpenAIRoute("/rerank", "results"),
    "speech": OpenAIRoute("/audio/speech"),
    "transcriptions": OpenAIRoute("/audio/transcriptions", "text", to_events=_transcript_events),
    "translations": OpenAIRoute("/audio/translations", "text"),
    "image_generations": OpenAIRoute("/images/generations", "data"),
    "image_edits": OpenAIRoute("/images/edits", "data"),
    "image_variations": OpenAIRoute("/images/variations", "data"),
}


def read_error(value: Any) -> ReportedError:
    """Read an error in any of the shapes that servers with OpenAI's API commonly send."""
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return ReportedError()
    error = value.get("error", value)
    if isinstance(error, str):
        return ReportedError(message=error)
    if not isinstance(error, dict):
        return ReportedError()
    codes = frozenset(code for code in (error.get("code"), error.get("type")) if isinstance(code, str))
    return ReportedError(codes, str(error.get("message", "")), str(error.get("param") or ""))


ERRORS = ErrorMapping(
    read=read_error,
    context_length=frozenset(
        {"context_length_exceeded", "string_above_max_length", "exceed_context_size_error"}
    ),
    content_filter=frozenset({"content_filter", "content_policy_violation", "moderation_blocked"}),
    quota=frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}),
    context_phrases=(
        "context length",
        "context window",
        "context size",
        "maximum context",
        "prompt is too long",
    ),
)


class OpenAICompatible:
    """The adapter for the kind ``openai_compatible``."""

    label = "OpenAI-compatible"
    operations = frozenset(OPERATIONS)
    has_network = True

    async def fetch_json(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> JSON:
        response = await _fetch(connection, operation, body, client_params)
        return _parse(connection, response.body, client_params, OPERATIONS[operation].response_field)

    async def fetch_text(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> str:
        response = await _fetch(connection, operation, body, client_params)
        if response.media_type in ERROR_TYPES:
            # Some servers answer with JSON whatever format was requested.
            field = OPERATIONS[operation].response_field
            return str(_parse(connection, response.body, client_params, field)["text"])
        return response.body.decode(errors="replace")

    async def stream_events(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> AsyncGenerator[list[JSON], None]:
        route = OPERATIONS[operation]
        if route.stream_usage and isinstance(body, dict):
            body = _with_stream_options(connection, body)
        async with _stream(connection, operation, body) as stream:
            if stream.status == 200 and route.to_events and stream.media_type in WHOLE_TYPES:
                data = b"".join([received async for received in stream])
                yield route.to_events(_whole(connection, stream, data, client_params, route))
                return
            await _expect(connection, stream, client_params, route, stream.media_type == EVENT_STREAM)
            parser = EventParser()
            async for received in stream:
                events, done = _split(connection, parser, received)
                objects, problem = _parse_events(connection, events, client_params, route.event_field)
                if objects:
                    yield objects
                if problem is not None:
                    raise problem
                if done:
                    stream.release()
                    return
            if parser.pending():
                raise UpstreamFailed(detail=f"{connection.name}: the stream broke off inside an event")
            raise StreamCut(detail=f"{connection.name}: the stream ended without [DONE]")

    async def stream_bytes(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> AsyncGenerator[bytes, None]:
        async with _stream(connection, operation, body) as stream:
            kind = stream.media_type
            is_binary = kind not in ERROR_TYPES and not kind.startswith("text/")
            await _expect(connection, stream, client_params, OPERATIONS[operation], is_binary)
            async for received in stream:
                if received:
                    yield received

    def check_connection(self, connection: ProviderConnection) -> ConnectionTest:
        return connection_check.list_models(connection, "/models", _headers(connection), _model_ids)


def _headers(connection: ProviderConnection) -> dict[str, str]:
    headers = {"accept-encoding": "identity", **connection.headers}
    if connection.api_key:
        headers.setdefault("authorization", f"Bearer {connection.api_key}")
    return headers


def _request(
    connection: ProviderConnection, operation: str, body: Body
) -> tuple[ProviderConnection, str, dict[str, str], bytes | Form]:
    url = connection.base_url + OPERATIONS[operation].path
    headers = _headers(connection)
    if isinstance(body, Form):
        return connection, url, headers, body
    headers["content-type"] = "application/json"
    return connection, url, headers, orjson.dumps(body)


def _stream(connection: ProviderConnection, operation: str, body: Body) -> exchange.ResponseStream:
    return exchange.ResponseStream(*_request(connection, operation, body))


async def _fetch(
    connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
) -> exchange.WholeResponse:
    response = await exchange.fetch(*_request(connection, operation, body))
    if response.status != 200:
        raise ERRORS.from_status(connection, response.status, response.headers, response.body, client_params)
    return response


def _with_stream_options(connection: ProviderConnection, body: JSON) -> JSON:
    """Return the body with a request for the usage, if the provider accepts one."""
    if connection.stream_usage:
        return {**body, "stream_options": {"include_usage": True}}
    return {name: value for name, value in body.items() if name != "stream_options"}


def _parse(connection: ProviderConnection, data: bytes, client_params: Collection[str], field: str) -> JSON:
    """Return the JSON object that ``data`` is, or raise the error if it lacks ``field``."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        text = f"not JSON: {data[:500].decode(errors='replace')}"
        raise UpstreamFailed(detail=detail(connection, text)) from None
    if not isinstance(value, dict):
        raise UpstreamFailed(detail=detail(connection, f"not an object: {str(value)[:500]}"))
    if value.get("error") or not isinstance(value.get(field), str if field in TEXT_FIELDS else list):
        raise ERRORS.from_success(connection, value, client_params)
    return value


def _split(connection: ProviderConnection, parser: EventParser, received: bytes) -> tuple[list[bytes], bool]:
    """Return the events before the end mark, and whether that was among them."""
    try:
        events = parser.feed(received)
    except EventTooLarge:
        raise UpstreamFailed(detail=f"{connection.name}: an event is too large") from None
    if DONE in events:
        return events[: events.index(DONE)], True
    return events, False


def _parse_events(
    connection: ProviderConnection, events: Sequence[bytes], client_params: Collection[str], field: str
) -> tuple[list[JSON], APIError | None]:
    """Return the objects of events that arrived together, up to a faulty one, and the error for that."""
    objects: list[JSON] = []
    try:
        for event in events:
            objects.append(_parse(connection, event, client_params, field))  # noqa: PERF401 - keeps those before a fault
    except APIError as problem:
        return objects, problem
    return objects, None


def _whole(
    connection: ProviderConnection,
    stream: exchange.ResponseStream,
    data: bytes,
    client_params: Collection[str],
    route: OpenAIRoute,
) -> JSON:
    """Return the whole response to a request for a stream as an object; plain text becomes its required field."""
    if stream.media_type in ERROR_TYPES:
        return _parse(connection, data, client_params, route.response_field)
    return {route.response_field: data.decode(errors="replace")}


async def _expect(
    connection: ProviderConnection,
    stream: exchange.ResponseStream,
    client_params: Collection[str],
    route: OpenAIRoute,
    is_expected: bool,
) -> None:
    """Raise the error for a response with another status than 200, or with an unexpected media type."""
    if stream.status != 200:
        data = await stream.beginning()
        raise ERRORS.from_status(connection, stream.status, stream.headers, data, client_params)
    if not is_expected:
        _parse(connection, await stream.beginning(), client_params, route.response_field)
        raise UpstreamFailed(detail=f"{connection.name}: a whole response where a stream was requested")


def _model_ids(body: bytes) -> Iterator[str]:
    return (str(model["id"]) for model in orjson.loads(body)["data"])
