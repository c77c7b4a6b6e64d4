"""Server-sent event streams in OpenAI's format."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson
from aiohttp import web

from local_models.errors import LocalModelError


async def stream(
    request: web.Request, events: AsyncGenerator[dict[str, Any], None], *, typed: bool = False
) -> web.StreamResponse:
    """Send ``events`` as they arrive, then ``[DONE]``.

    ``typed`` events also carry their ``type`` as the event name, and are not followed by ``[DONE]``.

    The status is sent with the first event, so that an earlier error becomes a plain error response. A later
    error is sent as an event, and ``[DONE]`` is omitted.
    """
    async with aclosing(events):
        first = await anext(events)
        response = web.StreamResponse(
            headers={"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
        )
        await response.prepare(request)
        await response.write(_frame(first, typed))
        try:
            async for event in events:
                await response.write(_frame(event, typed))
        except LocalModelError as error:
            await response.write(_frame(error.body()))
        else:
            if not typed:
                await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _frame(event: dict[str, Any], typed: bool = False) -> bytes:
    name = f"event: {event['type']}\n".encode() if typed else b""
    return name + b"data: " + orjson.dumps(event) + b"\n\n"
