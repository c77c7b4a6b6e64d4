"""Server-sent events, as OpenAI's clients read them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson
from aiohttp import web

from local_models.errors import LocalModelError


async def stream(
    request: web.Request, events: AsyncGenerator[dict[str, Any], None], *, typed: bool = False
) -> web.StreamResponse:
    """Send ``events`` as they come, then ``[DONE]``.

    Where they are ``typed`` they are named by their ``type``, and the last of them is the end by itself.

    The status waits for the first event, so that a request which fails before it gets a plain error. A fault
    after it is an event of its own and an end without ``[DONE]``.
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
