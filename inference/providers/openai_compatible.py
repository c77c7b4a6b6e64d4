"""Providers that speak OpenAI's own API: OpenAI, and most servers and hosts of models."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from typing import Any

import aiohttp
import httpx
import orjson

from gtapi.errors import APIError, UpstreamFailed, UpstreamTimeout
from gtapi.text import pluralize
from inference.providers import error_mapping
from inference.providers import http_client as http
from inference.providers.base import JSON, Body, ConnectionTest, Form, ProviderConnection, StreamCut
from inference.providers.decompression import unpacker
from inference.providers.sse import EventParser, EventTooLarge
from inference.providers.stream_timeout import StreamTimeout

#: Largest answer that is read, in bytes, whole or streamed.
MAX_ANSWER_BYTES = 128 * 1024 * 1024
#: How much of an error's body is read, in bytes.
MAX_ERROR_BYTES = 64 * 1024
#: How much of a list of models is read when a provider is tested, in bytes, and for how many seconds.
MAX_MODELS_BYTES = 8 * 1024 * 1024
TEST_SECONDS = 10
#: What an operator can look at where a test failed.
_CHECK_REACHED = "Check its base URL, and whether it runs and this machine may connect to it."
_CHECK = {
    401: "Check its API key.",
    403: "Check its API key, and what that may do.",
    404: "Check its base URL, which mostly ends with /v1.",
}
DONE = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Operation:
    """A route of OpenAI's API: the fields by which an answer, or an event of a stream, is known."""

    path: str
    answer: str = ""
    event: str = "type"
    #: Whether its streams report usage only when asked.
    stream_usage: bool = False
    #: What makes the events of a whole answer, where some servers give one to whoever asks for a stream.
    whole: Callable[[JSON], list[JSON]] | None = None


def _transcript_events(answer: JSON) -> list[JSON]:
    return [
        {"type": "transcript.text.delta", "delta": answer["text"]},
        {**answer, "type": "transcript.text.done"},
    ]


OPERATIONS: dict[str, Operation] = {
    "chat": Operation("/chat/completions", "choices", "choices", stream_usage=True),
    "completions": Operation("/completions", "choices", "choices", stream_usage=True),
    "embeddings": Operation("/embeddings", "data"),
    "moderations": Operation("/moderations", "results"),
    "speech": Operation("/audio/speech"),
    "transcriptions": Operation("/audio/transcriptions", "text", whole=_transcript_events),
    "translations": Operation("/audio/translations", "text"),
    "image_generations": Operation("/images/generations", "data"),
    "image_edits": Operation("/images/edits", "data"),
    "image_variations": Operation("/images/variations", "data"),
}
#: Those of these fields that hold text; the other ones hold lists.
TEXT_FIELDS = {"text", "type"}
EVENTS = "text/event-stream"
#: Types of what is no content but an error or an error page.
NO_CONTENT = {"application/json", "text/html"}
#: Types of a whole answer that says what a stream would have said.
WHOLE = {"application/json", "text/plain"}


@lru_cache(maxsize=256)
def _timeout(connect: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect)


def _headers(connection: ProviderConnection) -> dict[str, str]:
    headers = {"accept-encoding": "identity", **connection.headers}
    if connection.api_key:
        headers.setdefault("authorization", f"Bearer {connection.api_key}")
    return headers


def _object(connection: ProviderConnection, data: bytes, client_params: Collection[str], field: str) -> JSON:
    """Return a JSON object that has ``field``, or raise what the client is told of anything else."""
    try:
        answer = orjson.loads(data)
    except orjson.JSONDecodeError:
        said = f"no JSON: {data[:500].decode(errors='replace')}"
        raise UpstreamFailed(detail=error_mapping.detail(connection, said)) from None
    if not isinstance(answer, dict):
        raise UpstreamFailed(detail=error_mapping.detail(connection, f"no object: {str(answer)[:500]}"))
    if answer.get("error") or not isinstance(answer.get(field), str if field in TEXT_FIELDS else list):
        raise error_mapping.from_answer(connection, answer, client_params)
    return answer


def _said(
    connection: ProviderConnection,
    response: aiohttp.ClientResponse,
    data: bytes,
    client_params: Collection[str],
    called: Operation,
) -> JSON:
    """Return a whole answer of ``WHOLE`` as the object that it is, or would be."""
    if response.content_type in NO_CONTENT:
        return _object(connection, data, client_params, called.answer)
    return {called.answer: data.decode(errors="replace")}


def _is_expected(kind: str, called: Operation, *, events: bool) -> bool:
    """Tell whether a media type is one that an answer may have: events, or content that is no text."""
    if events:
        return kind == EVENTS or (called.whole is not None and kind in WHOLE)
    return kind not in NO_CONTENT and not kind.startswith("text/")


def _objects(
    connection: ProviderConnection, events: Sequence[bytes], client_params: Collection[str], field: str
) -> tuple[list[JSON], APIError | None]:
    """Return the objects of events that arrived together, up to one that is none, and the error for that."""
    found: list[JSON] = []
    try:
        for event in events:
            found.append(_object(connection, event, client_params, field))  # noqa: PERF401 - those before a fault are kept
    except APIError as problem:
        return found, problem
    return found, None


class OpenAICompatible:
    """The adapter for the kind ``openai_compatible``."""

    label = "OpenAI-compatible"

    async def fetch_json(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> JSON:
        _, data = await _complete(connection, operation, body, client_params)
        return _object(connection, data, client_params, OPERATIONS[operation].answer)

    async def fetch_text(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> str:
        kind, data = await _complete(connection, operation, body, client_params)
        if kind in NO_CONTENT:
            # Some servers answer with JSON whatever they were asked for.
            return str(_object(connection, data, client_params, OPERATIONS[operation].answer)["text"])
        return data.decode(errors="replace")

    async def stream_events(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> AsyncGenerator[list[JSON], None]:
        called = OPERATIONS[operation]
        if called.stream_usage and isinstance(body, dict):
            body = _with_stream_options(connection, body)
        async with aclosing(_arrivals(connection, operation, body, client_params, events=True)) as arrivals:
            response = await anext(arrivals)
            if called.whole is not None and response.content_type != EVENTS:
                data = b"".join([received async for received in arrivals])
                yield called.whole(_said(connection, response, data, client_params, called))
                return
            parser = EventParser()
            async for received in arrivals:
                try:
                    events = parser.feed(received)
                except EventTooLarge:
                    raise UpstreamFailed(detail=f"{connection.name}: an event has no end") from None
                done = DONE in events
                if done:
                    events = events[: events.index(DONE)]
                objects, problem = _objects(connection, events, client_params, called.event)
                if objects:
                    yield objects
                if problem is not None:
                    raise problem
                if done:
                    http.let_end(response)
                    return
            if parser.pending():
                raise UpstreamFailed(detail=f"{connection.name}: the stream broke off inside an event")
            raise StreamCut(detail=f"{connection.name}: the stream ended without [DONE]")

    async def stream_bytes(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> AsyncGenerator[bytes, None]:
        async with aclosing(_arrivals(connection, operation, body, client_params, events=False)) as arrivals:
            await anext(arrivals)
            async for received in arrivals:
                if received:
                    yield received

    def check_connection(self, connection: ProviderConnection) -> ConnectionTest:
        try:
            status, data = _models(connection)
        except UpstreamFailed as error:
            return ConnectionTest(False, error_mapping.detail(connection, error.detail))
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as error:
            said = f"cannot be reached ({type(error).__name__}). {_CHECK_REACHED}"
            return ConnectionTest(False, error_mapping.detail(connection, said))
        if status != 200:
            said = f"answered {status} to GET /models: {data[:200].decode(errors='replace')}"
            return ConnectionTest(
                False, error_mapping.detail(connection, f"{said} {_CHECK.get(status, '')}".strip())
            )
        try:
            models = tuple(str(model["id"]) for model in orjson.loads(data)["data"])
        except (ValueError, KeyError, TypeError):
            return ConnectionTest(False, f"{connection.name}: GET /models gave no list of models")
        return ConnectionTest(
            True, f"{connection.name} answered with {pluralize(len(models), 'model')}", models
        )


def _models(connection: ProviderConnection) -> tuple[int, bytes]:
    """Return the status and the body, or its beginning, of what a provider says of its models."""
    deadline = monotonic() + TEST_SECONDS
    data = bytearray()
    timeouts = httpx.Timeout(TEST_SECONDS, connect=connection.timeouts.connect)
    url, headers = connection.base_url + "/models", _headers(connection)
    with httpx.stream("GET", url, headers=headers, timeout=timeouts, trust_env=False) as response:
        unpack = unpacker(response.headers.get("content-encoding", ""))
        for piece in response.iter_raw():
            data += unpack(piece) if unpack else piece
            if len(data) > MAX_MODELS_BYTES or monotonic() > deadline:
                break
    return response.status_code, bytes(data[:MAX_MODELS_BYTES])


def _with_stream_options(connection: ProviderConnection, body: JSON) -> JSON:
    """Return the body with a request for the usage, where the provider takes it."""
    if connection.stream_usage:
        return {**body, "stream_options": {"include_usage": True}}
    return {name: value for name, value in body.items() if name != "stream_options"}


async def _post(connection: ProviderConnection, operation: str, body: Body) -> aiohttp.ClientResponse:
    url = connection.base_url + OPERATIONS[operation].path
    headers = _headers(connection)
    limits = _timeout(connection.timeouts.connect)
    if isinstance(body, Form):
        return await http.post(url, body, headers, limits)
    headers["content-type"] = "application/json"
    return await http.post(url, orjson.dumps(body), headers, limits)


async def _complete(
    connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
) -> tuple[str, bytes]:
    """Return the type and the body of a whole answer, which may take as long as any request may."""
    try:
        async with asyncio.timeout(connection.timeouts.total):
            response = await _post(connection, operation, body)
            try:
                data = await _whole(connection, response)
            except BaseException:
                response.close()
                raise
            response.release()
    except TimeoutError as error:
        raise UpstreamTimeout(detail=f"{connection.name}: no answer in time") from error
    except aiohttp.ClientError as error:
        raise _broken(connection, error) from error
    if response.status != 200:
        raise error_mapping.from_status(connection, response.status, response.headers, data, client_params)
    return response.content_type, data


async def _whole(connection: ProviderConnection, response: aiohttp.ClientResponse) -> bytes:
    """Return the body: all of an answer, the beginning of an error."""
    if response.status != 200:
        return await _beginning(response)
    take = _taker(connection, response)
    parts: list[bytes] = []
    while part := await response.content.readany():
        parts.append(take(part))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _taker(connection: ProviderConnection, response: aiohttp.ClientResponse) -> Callable[[bytes], bytes]:
    """Return what unpacks the pieces of an answer, as long as they are no more than ``MAX_ANSWER_BYTES``."""
    unpack = unpacker(response.headers.get("content-encoding", ""))
    size = 0

    def take(piece: bytes) -> bytes:
        nonlocal size
        if unpack is not None:
            piece = unpack(piece)
        size += len(piece)
        if size > MAX_ANSWER_BYTES:
            raise UpstreamFailed(
                detail=f"{connection.name}: the answer is larger than {MAX_ANSWER_BYTES} bytes"
            )
        return piece

    return take


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Return the beginning of an error; what cannot be unpacked stays as it is."""
    data = await response.content.read(MAX_ERROR_BYTES)
    with suppress(UpstreamFailed):
        if unpack := unpacker(response.headers.get("content-encoding", "")):
            data = unpack(data)[:MAX_ERROR_BYTES]
    return data


async def _arrivals(
    connection: ProviderConnection,
    operation: str,
    body: Body,
    client_params: Collection[str],
    *,
    events: bool,
) -> AsyncGenerator[Any, None]:
    """Yield a response of the right kind, then its bytes as they arrive, within the limits on silence.

    Whoever stops early closes the connection.
    """
    patience = StreamTimeout(connection.timeouts)
    response: aiohttp.ClientResponse | None = None
    try:
        response = await _post(connection, operation, body)
        if response.status != 200:
            data = await _beginning(response)
            raise error_mapping.from_status(
                connection, response.status, response.headers, data, client_params
            )
        called = OPERATIONS[operation]
        if not _is_expected(response.content_type, called, events=events):
            data = await _beginning(response)
            _object(connection, data, client_params, called.answer)
            raise UpstreamFailed(detail=f"{connection.name}: a whole answer where a stream was asked for")
        take = _taker(connection, response)
        yield response
        while received := await response.content.readany():
            patience.heard()
            patience.pause()
            yield take(received)
            patience.resume()
    except asyncio.CancelledError as error:
        if not patience.expired:
            raise
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        raise UpstreamTimeout(detail=f"{connection.name}: silent for too long") from error
    except TimeoutError as error:
        raise UpstreamTimeout(detail=f"{connection.name}: no end in time") from error
    except aiohttp.ClientError as error:
        raise _broken(connection, error) from error
    finally:
        patience.stop()
        if response is not None:
            http.finish(response)


def _broken(connection: ProviderConnection, error: aiohttp.ClientError) -> UpstreamFailed:
    return UpstreamFailed(detail=error_mapping.detail(connection, f"{type(error).__name__}: {error}"))
