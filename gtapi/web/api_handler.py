"""The lean ASGI handler of the API's prefix.

Django's stock handler reads the whole body before a view can authenticate, and hops between threads for signals
that nobody here listens to; both cost more than the rest of a request. This one hands ``receive`` on to the view,
awaits it and sends. What the stock one did besides is done on purpose elsewhere: the request notices when the
client leaves, and the ORM gives its connections back by itself.
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
#: Longest path, in characters, whose view is remembered.
LONGEST_KNOWN = 200


def resolve(path: str) -> ResolverMatch:
    return _known(path) if len(path) <= LONGEST_KNOWN else _resolved(path)


def _resolved(path: str) -> ResolverMatch:
    return get_resolver(settings.ROOT_URLCONF).resolve(path)


# Nobody needs a key to fill it: what is long is not kept.
_known = lru_cache(maxsize=2048)(_resolved)


class APIHandler(ASGIHandler):
    """Serves the API. Its middleware is ``API_MIDDLEWARE``: async callables made from the next one."""

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
        except Exception as error:  # noqa: BLE001 - the last resort: every fault becomes an envelope
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
        # An answer to HEAD ends with its headers.
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})

    async def _send_stream(self, request: APIRequest, response: StreamResponse, send: Send) -> None:
        pulse = StreamSender(send, request, comments=isinstance(response, EventStreamResponse))
        try:
            async with aclosing(response.parts) as parts:
                # The first part is there already. Taken first, so that from here on closing ends the generator
                # in whatever state it is: one that never began would not run its own clean-up.
                part = await anext(parts)
                headers = _raw_headers(response)
                await send(
                    {"type": "http.response.start", "status": response.status_code, "headers": headers}
                )
                await pulse.send(part)
                async for part in parts:
                    await pulse.send(part)
            request.response_sent = True
            await send({"type": "http.response.body", "body": b""})
        except APIError as error:
            # The status has left long ago: that the answer has no end is all that can still be said.
            logger.warning("%s broke off: %s", request.request_id, error.detail or error.message)
        finally:
            pulse.stop()


class StreamSender:
    """Sends the parts of a stream, and a comment when there was none for a while.

    A client that takes nothing of what is sent for ``STREAM_STALL_SECONDS`` counts as one that has left: the
    provider's connection would wait with it for ever.
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
        self._timer = self._loop.call_later(self._interval, self._look)

    async def send(self, part: bytes) -> None:
        """Send whole events."""
        self._sending = True
        await self._send({"type": "http.response.body", "body": part, "more_body": True})
        self._sending = False
        self._last = self._loop.time()

    def stop(self) -> None:
        self._timer.cancel()
        if self._comment is not None:
            # One that did not get its turn yet must not follow the end of the answer.
            self._comment.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        due = self._last + self._interval
        # While a part is being sent the client is slow and not the provider silent.
        if self._sending:
            due = now + 1
            if now - self._last >= settings.STREAM_STALL_SECONDS and self._task is not None:
                self._request.disconnected = True
                self._task.cancel()
        elif self._comments and now >= due:
            self._comment = self._loop.create_task(self._keep_alive())
            self._last = now
            due = now + self._interval
        self._timer = self._loop.call_at(max(due, now + 0.05), self._look)

    async def _keep_alive(self) -> None:
        await self._send({"type": "http.response.body", "body": KEEPALIVE, "more_body": True})


def _raw_headers(response: HttpResponseBase) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower().encode("latin1"), value.encode("latin1")) for name, value in response.headers.items()
    ]
