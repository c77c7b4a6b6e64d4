"""The ASGI handler of the API, a faster replacement for Django's.

Django's handler reads the whole body before a view can authenticate, and switches threads to send signals that the
API does not use; both cost more than the rest of a request. This handler passes ``receive`` to the view, awaits the
response and sends it. The request detects disconnects, and ``gtapi.database`` returns connections to the pool.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpResponseBase
from django.urls import ResolverMatch, get_resolver
from django.urls.exceptions import Resolver404
from django.utils.module_loading import import_string

from gtapi.errors import APIError, UnknownURL, translate
from gtapi.web.request import APIRequest, ClientDisconnected
from gtapi.web.responses import EventStreamResponse, StreamResponse
from gtapi.web.timeouts import Receive

logger = logging.getLogger(__name__)

Send = Callable[[dict[str, Any]], Awaitable[None]]
KEEPALIVE = b": keep-alive\n\n"
#: Longest path, in characters, whose resolved view is cached.
MAX_CACHED_PATH = 200


def resolve(path: str) -> ResolverMatch:
    return _resolve_cached(path) if len(path) <= MAX_CACHED_PATH else _resolve(path)


def _resolve(path: str) -> ResolverMatch:
    return get_resolver(settings.ROOT_URLCONF).resolve(path)


# Unauthenticated clients can fill the cache, so long paths are not cached.
_resolve_cached = lru_cache(maxsize=2048)(_resolve)


class APIHandler(ASGIHandler):
    """Serves the API, with the async middleware of the setting ``API_MIDDLEWARE``."""

    def load_middleware(self, is_async: bool = False) -> None:
        handler: Callable[[APIRequest], Awaitable[HttpResponseBase]] = self._call_view
        for path in reversed(settings.API_MIDDLEWARE):
            handler = import_string(path)(handler)
        self._middleware_chain = handler

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:  # type: ignore[override]
        request = APIRequest(scope, receive)
        try:
            response = await self._respond(request)
            response.headers["x-request-id"] = request.request_id
            if isinstance(response, StreamResponse):
                await self._send_stream(request, response, send)
            else:
                await self._send_whole(request, response, send)
        except ClientDisconnected:
            return
        except asyncio.CancelledError:
            if not request.disconnected:
                raise

    async def _respond(self, request: APIRequest) -> HttpResponseBase:
        try:
            return await self._middleware_chain(request)
        except (ClientDisconnected, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - every exception becomes an error response
            return translate(error).response()

    async def _call_view(self, request: APIRequest) -> HttpResponseBase:
        try:
            match = resolve(request.path_info)
        except Resolver404:
            raise UnknownURL(request.method or "", request.path) from None
        request.resolver_match = match
        response: HttpResponseBase = await match.func(request, *match.args, **match.kwargs)
        return response

    async def _send_whole(self, request: APIRequest, response: HttpResponseBase, send: Send) -> None:
        body = response.content  # type: ignore[attr-defined]
        headers = _raw_headers(response)
        headers.append((b"content-length", b"%d" % len(body)))
        request.response_sent = True
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        # The response to a HEAD request has no body.
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})

    async def _send_stream(self, request: APIRequest, response: StreamResponse, send: Send) -> None:
        sender = StreamSender(send, request, comments=isinstance(response, EventStreamResponse))
        try:
            async with aclosing(response.parts) as parts:
                # The view has already fetched the first part. Start the generator now: closing one that was never
                # started would skip its cleanup.
                part = await anext(parts)
                headers = _raw_headers(response)
                await send(
                    {"type": "http.response.start", "status": response.status_code, "headers": headers}
                )
                await sender.send(part)
                async for part in parts:
                    await sender.send(part)
            request.response_sent = True
            await send({"type": "http.response.body", "body": b""})
        except APIError as error:
            # The status has been sent; a truncated response can only be signalled by closing the connection.
            logger.warning(
                "response to %s was truncated: %s", request.request_id, error.detail or error.message
            )
        finally:
            sender.stop()


class StreamSender:
    """Sends the parts of a stream, and keep-alive comments while there are none.

    A client that reads nothing for ``STREAM_STALL_SECONDS`` is treated as disconnected. Otherwise it would hold the
    provider's connection open forever.
    """

    def __init__(self, send: Send, request: APIRequest, *, comments: bool) -> None:
        self._send = send
        self._request = request
        self._task = asyncio.current_task()
        self._comments = comments
        self._loop = asyncio.get_running_loop()
        self._interval: float = settings.STREAM_KEEPALIVE_SECONDS
        self._last = self._loop.time()
        self._sending = False
        self._comment: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(self._interval, self._tick)

    async def send(self, part: bytes) -> None:
        """Send a part, which must hold complete events."""
        self._sending = True
        await self._send({"type": "http.response.body", "body": part, "more_body": True})
        self._sending = False
        self._last = self._loop.time()

    def stop(self) -> None:
        self._timer.cancel()
        if self._comment is not None:
            # A scheduled comment must not be sent after the end of the response.
            self._comment.cancel()

    def _tick(self) -> None:
        now = self._loop.time()
        due = self._last + self._interval
        # While a part is being sent, the client is slow, not the provider.
        if self._sending:
            due = now + 1
            if now - self._last >= settings.STREAM_STALL_SECONDS and self._task is not None:
                self._request.disconnected = True
                self._task.cancel()
        elif self._comments and now >= due:
            self._comment = self._loop.create_task(self._keep_alive())
            self._last = now
            due = now + self._interval
        self._timer = self._loop.call_at(max(due, now + 0.05), self._tick)

    async def _keep_alive(self) -> None:
        await self._send({"type": "http.response.body", "body": KEEPALIVE, "more_body": True})


def _raw_headers(response: HttpResponseBase) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower().encode("latin1"), value.encode("latin1")) for name, value in response.headers.items()
    ]
