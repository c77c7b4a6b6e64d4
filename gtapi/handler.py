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

from gtapi.errors import UnknownURL, translate
from gtapi.request import APIRequest, ClientLeft, Receive
from gtapi.responses import EventStream

logger = logging.getLogger(__name__)

Send = Callable[[dict[str, Any]], Awaitable[None]]
KEEPALIVE = b": keep-alive\n\n"


@lru_cache(maxsize=2048)
def resolve(path: str) -> ResolverMatch:
    return get_resolver(settings.ROOT_URLCONF).resolve(path)


class APIHandler(ASGIHandler):
    """Serves the API. Its middleware is ``API_MIDDLEWARE``: async callables made from the next one."""

    def load_middleware(self, is_async: bool = False) -> None:
        handler: Callable[[APIRequest], Awaitable[HttpResponseBase]] = self._call_view
        for path in reversed(settings.API_MIDDLEWARE):
            handler = import_string(path)(handler)
        self._middleware_chain = handler

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        request = APIRequest(scope, receive)
        try:
            response = await self._respond(request)
            response.headers["x-request-id"] = request.request_id
            if isinstance(response, EventStream):
                await self._send_events(request, response, send)
            else:
                await self._send_whole(request, response, send)
        except ClientLeft:
            return
        except asyncio.CancelledError:
            if not request.disconnected:
                raise

    async def _respond(self, request: APIRequest) -> HttpResponseBase:
        try:
            return await self._middleware_chain(request)  # type: ignore[no-any-return, misc]
        except (ClientLeft, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: every fault becomes an envelope
            return translate(error).response()

    async def _call_view(self, request: APIRequest) -> HttpResponseBase:
        try:
            match = resolve(request.path_info)
        except Resolver404:
            raise UnknownURL(request.method or "", request.path) from None
        request.resolver_match = match
        return await match.func(request, *match.args, **match.kwargs)  # type: ignore[no-any-return, misc]

    async def _send_whole(self, request: APIRequest, response: HttpResponseBase, send: Send) -> None:
        body = response.content  # type: ignore[attr-defined]
        headers = _raw_headers(response)
        headers.append((b"content-length", b"%d" % len(body)))
        request.answered = True
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        # An answer to HEAD ends with its headers.
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})

    async def _send_events(self, request: APIRequest, response: EventStream, send: Send) -> None:
        loop = asyncio.get_running_loop()
        silent_since = loop.time()
        waiting = True
        pending: set[asyncio.Task[None]] = set()

        def keep_alive() -> None:
            nonlocal timer
            left = silent_since + settings.STREAM_KEEPALIVE_SECONDS - loop.time()
            if left <= 0 and waiting:
                # The serving task is waiting for the provider: nothing else is being written.
                task = loop.create_task(
                    send({"type": "http.response.body", "body": KEEPALIVE, "more_body": True})
                )  # type: ignore[arg-type]
                pending.add(task)
                task.add_done_callback(pending.discard)
                left = settings.STREAM_KEEPALIVE_SECONDS
            timer = loop.call_later(max(left, 0.05), keep_alive)

        timer = loop.call_later(settings.STREAM_KEEPALIVE_SECONDS, keep_alive)
        try:
            async with aclosing(response.events) as events:
                # The first part is there already. Taken first, so that from here on closing ends the generator
                # in whatever state it is: one that never began would not run its own clean-up.
                part = await anext(events)
                waiting = False
                headers = _raw_headers(response)
                await send(
                    {"type": "http.response.start", "status": response.status_code, "headers": headers}
                )
                await send({"type": "http.response.body", "body": part, "more_body": True})
                waiting = True
                async for part in events:
                    waiting = False
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                    waiting = True
                    silent_since = loop.time()
            request.answered = True
            await send({"type": "http.response.body", "body": b""})
        finally:
            timer.cancel()


def _raw_headers(response: HttpResponseBase) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower().encode("latin1"), value.encode("latin1")) for name, value in response.headers.items()
    ]
