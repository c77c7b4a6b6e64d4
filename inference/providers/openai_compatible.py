"""Providers that speak OpenAI's own API: OpenAI, and most servers and hosts of models."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from functools import lru_cache

import aiohttp
import httpx
import orjson

from gtapi.errors import APIError, UpstreamFailed, UpstreamTimeout
from inference import upstream as http
from inference.providers import faults
from inference.providers.base import JSON, ConnectionTest, StreamCut, Timeouts, Upstream
from inference.providers.sse import EventParser, EventTooLarge

#: Largest answer that is read, in bytes.
MAX_ANSWER_BYTES = 128 * 1024 * 1024
#: How much of an error's body is read, in bytes.
MAX_ERROR_BYTES = 64 * 1024
DONE = b"[DONE]"


@lru_cache(maxsize=256)
def _timeout(connect: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect)


def _headers(upstream: Upstream) -> dict[str, str]:
    headers = {"content-type": "application/json", "accept-encoding": "identity", **upstream.headers}
    if upstream.api_key:
        headers.setdefault("authorization", f"Bearer {upstream.api_key}")
    return headers


def _object(upstream: Upstream, data: bytes, given: Collection[str], key: str) -> JSON:
    """Return a JSON object that has ``key``, or raise what the client is told of anything else."""
    try:
        answer = orjson.loads(data)
    except orjson.JSONDecodeError:
        said = f"no JSON: {data[:500].decode(errors='replace')}"
        raise UpstreamFailed(detail=faults.detail(upstream, said)) from None
    if not isinstance(answer, dict):
        raise UpstreamFailed(detail=faults.detail(upstream, f"no object: {str(answer)[:500]}"))
    if answer.get("error") or not isinstance(answer.get(key), list):
        raise faults.from_answer(upstream, answer, given)
    return answer


class Patience:
    """Ends a stream's wait for bytes: the first one, each next one, and all of them together have a limit.

    One timer serves a whole stream: it looks at the time of the last byte when it fires and sets itself anew.
    It interrupts its task only while that waits for the provider, never while it waits for the client.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._limit = timeouts.first_byte
        self._between = timeouts.between_chunks
        self._last = self._loop.time()
        self._end = self._last + timeouts.total
        self._waiting = True
        self._timer = self._loop.call_at(min(self._last + self._limit, self._end), self._look)
        self.expired = False

    def heard(self) -> None:
        """Note that bytes came."""
        self._last = self._loop.time()
        if self._limit != self._between:
            # From now on the other limit holds, which may end before the timer for the first byte.
            self._limit = self._between
            self._timer.cancel()
            self._timer = self._loop.call_at(min(self._last + self._limit, self._end), self._look)

    def pause(self) -> None:
        """Stop counting while the client, and not the provider, is waited for."""
        self._waiting = False

    def resume(self) -> None:
        """Count again, from now on.

        Raises:
            TimeoutError: the whole request has taken too long meanwhile.
        """
        self._waiting = True
        self._last = self._loop.time()
        if self._last > self._end:
            raise TimeoutError

    def stop(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        due = min(self._last + self._limit, self._end)
        if self._waiting and now >= due and self._task is not None:
            self.expired = True
            self._task.cancel()
        else:
            self._timer = self._loop.call_at(max(due, now + 0.05), self._look)


class OpenAICompatible:
    """The adapter for the kind ``openai_compatible``."""

    label = "OpenAI-compatible"

    async def chat(self, upstream: Upstream, body: JSON, given: Collection[str]) -> JSON:
        return await self._json(upstream, "/chat/completions", body, given, "choices")

    async def chat_stream(
        self, upstream: Upstream, body: JSON, given: Collection[str]
    ) -> AsyncGenerator[list[JSON], None]:
        if upstream.stream_usage:
            body = {**body, "stream_options": {"include_usage": True}}
        else:
            body = {name: value for name, value in body.items() if name != "stream_options"}
        async with aclosing(self._events(upstream, "/chat/completions", body, given, "choices")) as events:
            async for chunks in events:
                yield chunks

    async def _json(
        self, upstream: Upstream, path: str, body: JSON, given: Collection[str], key: str
    ) -> JSON:
        """Return the JSON answer to a POST; ``key`` names the list that makes it one."""
        try:
            async with asyncio.timeout(upstream.timeouts.total):
                response = await self._post(upstream, path, body)
                try:
                    data = await self._whole(upstream, response)
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
        return _object(upstream, data, given, key)

    async def _events(
        self, upstream: Upstream, path: str, body: JSON, given: Collection[str], key: str
    ) -> AsyncGenerator[list[JSON], None]:
        """Yield the objects of an event stream; see ``Adapter.chat_stream``."""
        patience = Patience(upstream.timeouts)
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._post(upstream, path, body)
            if response.status != 200 or response.content_type != "text/event-stream":
                raise await self._no_stream(upstream, response, given, key)
            async with aclosing(_objects(upstream, response, patience, given, key)) as arrivals:
                async for objects in arrivals:
                    patience.pause()
                    yield objects
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

    async def _post(self, upstream: Upstream, path: str, body: JSON) -> aiohttp.ClientResponse:
        return await http.post(
            upstream.base_url + path,
            orjson.dumps(body),
            _headers(upstream),
            _timeout(upstream.timeouts.connect),
        )

    async def _whole(self, upstream: Upstream, response: aiohttp.ClientResponse) -> bytes:
        """Return the body: all of an answer, the beginning of an error."""
        if response.status != 200:
            return await response.content.read(MAX_ERROR_BYTES)
        if (response.content_length or 0) <= MAX_ANSWER_BYTES and response.content_length is not None:
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

    async def _no_stream(
        self, upstream: Upstream, response: aiohttp.ClientResponse, given: Collection[str], key: str
    ) -> APIError:
        """Return the error for an answer that is no event stream."""
        data = await response.content.read(MAX_ERROR_BYTES)
        if response.status != 200:
            return faults.from_status(upstream, response.status, response.headers, data, given)
        try:
            _object(upstream, data, given, key)
        except APIError as error:
            return error
        return UpstreamFailed(detail=f"{upstream.name}: a whole answer where a stream was asked for")

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


async def _objects(
    upstream: Upstream, response: aiohttp.ClientResponse, patience: Patience, given: Collection[str], key: str
) -> AsyncGenerator[list[JSON], None]:
    """Yield the parsed events of an answer until the provider's ``[DONE]`` or the end of its bytes."""
    parser = EventParser()
    while received := await response.content.readany():
        patience.heard()
        try:
            events = parser.feed(received)
        except EventTooLarge:
            raise UpstreamFailed(detail=f"{upstream.name}: an event has no end") from None
        done = DONE in events
        if done:
            events = events[: events.index(DONE)]
        if events:
            yield [_object(upstream, event, given, key) for event in events]
        if done:
            http.let_end(response)
            return
    if parser.pending():
        raise UpstreamFailed(detail=f"{upstream.name}: the stream broke off inside an event")
    raise StreamCut(detail=f"{upstream.name}: the stream ended without [DONE]")


def _broken(upstream: Upstream, error: aiohttp.ClientError) -> UpstreamFailed:
    return UpstreamFailed(detail=faults.detail(upstream, f"{type(error).__name__}: {error}"))
