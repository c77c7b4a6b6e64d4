"""Providers that speak OpenAI's own API: OpenAI, and most servers and hosts of models."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import aiohttp
import httpx
import orjson

from gtapi.errors import UpstreamFailed, UpstreamTimeout
from inference import upstream as http
from inference.providers import faults
from inference.providers.base import JSON, Body, ConnectionTest, Form, StreamCut, Upstream
from inference.providers.patience import Patience
from inference.providers.sse import EventParser, EventTooLarge

#: Largest answer that is read, in bytes.
MAX_ANSWER_BYTES = 128 * 1024 * 1024
#: How much of an error's body is read, in bytes.
MAX_ERROR_BYTES = 64 * 1024
DONE = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Operation:
    """A route of OpenAI's API: the fields by which an answer, or an event of a stream, is known."""

    path: str
    answer: str = ""
    event: str = "type"
    #: Whether its streams report usage only when asked.
    stream_usage: bool = False


OPERATIONS: dict[str, Operation] = {
    "chat": Operation("/chat/completions", "choices", "choices", stream_usage=True),
    "completions": Operation("/completions", "choices", "choices", stream_usage=True),
    "embeddings": Operation("/embeddings", "data"),
    "moderations": Operation("/moderations", "results"),
    "speech": Operation("/audio/speech"),
    "transcriptions": Operation("/audio/transcriptions", "text"),
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


@lru_cache(maxsize=256)
def _timeout(connect: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect)


def _headers(upstream: Upstream) -> dict[str, str]:
    headers = {"accept-encoding": "identity", **upstream.headers}
    if upstream.api_key:
        headers.setdefault("authorization", f"Bearer {upstream.api_key}")
    return headers


def _object(upstream: Upstream, data: bytes, given: Collection[str], field: str) -> JSON:
    """Return a JSON object that has ``field``, or raise what the client is told of anything else."""
    try:
        answer = orjson.loads(data)
    except orjson.JSONDecodeError:
        said = f"no JSON: {data[:500].decode(errors='replace')}"
        raise UpstreamFailed(detail=faults.detail(upstream, said)) from None
    if not isinstance(answer, dict):
        raise UpstreamFailed(detail=faults.detail(upstream, f"no object: {str(answer)[:500]}"))
    if answer.get("error") or not isinstance(answer.get(field), str if field in TEXT_FIELDS else list):
        raise faults.from_answer(upstream, answer, given)
    return answer


class OpenAICompatible:
    """The adapter for the kind ``openai_compatible``."""

    label = "OpenAI-compatible"

    async def answer(self, upstream: Upstream, operation: str, body: Body, given: Collection[str]) -> JSON:
        _, data = await _complete(upstream, operation, body, given)
        return _object(upstream, data, given, OPERATIONS[operation].answer)

    async def text(self, upstream: Upstream, operation: str, body: Body, given: Collection[str]) -> str:
        kind, data = await _complete(upstream, operation, body, given)
        if kind in NO_CONTENT:
            # Some servers answer with JSON whatever they were asked for.
            return str(_object(upstream, data, given, OPERATIONS[operation].answer)["text"])
        return data.decode(errors="replace")

    async def events(
        self, upstream: Upstream, operation: str, body: Body, given: Collection[str]
    ) -> AsyncGenerator[list[JSON], None]:
        called = OPERATIONS[operation]
        if called.stream_usage and isinstance(body, dict):
            body = _with_stream_options(upstream, body)
        async with aclosing(_arrivals(upstream, operation, body, given, events=True)) as arrivals:
            response = await anext(arrivals)
            parser = EventParser()
            async for received in arrivals:
                try:
                    events = parser.feed(received)
                except EventTooLarge:
                    raise UpstreamFailed(detail=f"{upstream.name}: an event has no end") from None
                done = DONE in events
                if done:
                    events = events[: events.index(DONE)]
                if events:
                    yield [_object(upstream, event, given, called.event) for event in events]
                if done:
                    http.let_end(response)
                    return
            if parser.pending():
                raise UpstreamFailed(detail=f"{upstream.name}: the stream broke off inside an event")
            raise StreamCut(detail=f"{upstream.name}: the stream ended without [DONE]")

    async def content(
        self, upstream: Upstream, operation: str, body: Body, given: Collection[str]
    ) -> AsyncGenerator[bytes, None]:
        async with aclosing(_arrivals(upstream, operation, body, given, events=False)) as arrivals:
            await anext(arrivals)
            async for received in arrivals:
                yield received

    def test(self, upstream: Upstream) -> ConnectionTest:
        timeouts = httpx.Timeout(10, connect=upstream.timeouts.connect)
        try:
            response = httpx.get(
                upstream.base_url + "/models", headers=_headers(upstream), timeout=timeouts, trust_env=False
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return ConnectionTest(
                False, faults.detail(upstream, f"cannot be reached ({type(error).__name__})")
            )
        if response.status_code != 200:
            said = f"answered {response.status_code} to GET /models: {response.text[:200]}"
            return ConnectionTest(False, faults.detail(upstream, said))
        try:
            models = tuple(str(model["id"]) for model in response.json()["data"])
        except (ValueError, KeyError, TypeError):
            return ConnectionTest(False, f"{upstream.name}: GET /models gave no list of models")
        return ConnectionTest(True, f"{upstream.name} answered with {len(models)} models", models)


def _with_stream_options(upstream: Upstream, body: JSON) -> JSON:
    """Return the body with a request for the usage, where the provider takes it."""
    if upstream.stream_usage:
        return {**body, "stream_options": {"include_usage": True}}
    return {name: value for name, value in body.items() if name != "stream_options"}


async def _post(upstream: Upstream, operation: str, body: Body) -> aiohttp.ClientResponse:
    url = upstream.base_url + OPERATIONS[operation].path
    headers = _headers(upstream)
    limits = _timeout(upstream.timeouts.connect)
    if isinstance(body, Form):
        return await http.post(url, body, headers, limits)
    headers["content-type"] = "application/json"
    return await http.post(url, orjson.dumps(body), headers, limits)


async def _complete(
    upstream: Upstream, operation: str, body: Body, given: Collection[str]
) -> tuple[str, bytes]:
    """Return the type and the body of a whole answer, which may take as long as any request may."""
    try:
        async with asyncio.timeout(upstream.timeouts.total):
            response = await _post(upstream, operation, body)
            try:
                data = await _whole(upstream, response)
            except BaseException:
                response.close()
                raise
            response.release()
    except TimeoutError as error:
        raise UpstreamTimeout(detail=f"{upstream.name}: no answer in time") from error
    except aiohttp.ClientError as error:
        raise _broken(upstream, error) from error
    if response.status != 200:
        raise faults.from_status(upstream, response.status, response.headers, data, given)
    return response.content_type, data


async def _whole(upstream: Upstream, response: aiohttp.ClientResponse) -> bytes:
    """Return the body: all of an answer, the beginning of an error."""
    if response.status != 200:
        return await response.content.read(MAX_ERROR_BYTES)
    if response.content_length is not None and response.content_length <= MAX_ANSWER_BYTES:
        return await response.read()
    parts: list[bytes] = []
    size = 0
    while part := await response.content.readany():
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise UpstreamFailed(
                detail=f"{upstream.name}: the answer is larger than {MAX_ANSWER_BYTES} bytes"
            )
    return b"".join(parts)


async def _arrivals(
    upstream: Upstream, operation: str, body: Body, given: Collection[str], *, events: bool
) -> AsyncGenerator[Any, None]:
    """Yield a response of the right kind, then its bytes as they arrive, within the limits on silence.

    Whoever stops early closes the connection.
    """
    patience = Patience(upstream.timeouts)
    response: aiohttp.ClientResponse | None = None
    try:
        response = await _post(upstream, operation, body)
        if response.status != 200:
            data = await response.content.read(MAX_ERROR_BYTES)
            raise faults.from_status(upstream, response.status, response.headers, data, given)
        kind = response.content_type
        if kind != EVENTS if events else kind in NO_CONTENT or kind.startswith("text/"):
            data = await response.content.read(MAX_ERROR_BYTES)
            _object(upstream, data, given, OPERATIONS[operation].answer)
            raise UpstreamFailed(detail=f"{upstream.name}: a whole answer where a stream was asked for")
        yield response
        while received := await response.content.readany():
            patience.heard()
            patience.pause()
            yield received
            patience.resume()
    except asyncio.CancelledError as error:
        if not patience.expired:
            raise
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        raise UpstreamTimeout(detail=f"{upstream.name}: silent for too long") from error
    except TimeoutError as error:
        raise UpstreamTimeout(detail=f"{upstream.name}: no end in time") from error
    except aiohttp.ClientError as error:
        raise _broken(upstream, error) from error
    finally:
        patience.stop()
        if response is not None:
            http.finish(response)


def _broken(upstream: Upstream, error: aiohttp.ClientError) -> UpstreamFailed:
    return UpstreamFailed(detail=faults.detail(upstream, f"{type(error).__name__}: {error}"))
