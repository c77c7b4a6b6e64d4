"""Server-sent events, as OpenAI's clients read them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson
from aiohttp import web

from inference.local_models.errors import LocalModelError


async def stream(request: web.Request, events: AsyncGenerator[dict[str, Any], None]) -> web.StreamResponse:
    """Send ``events`` as they come, then ``[DONE]``.

    The status waits for the first event, so that a request which fails before it gets a plain error. A fault
    after it is an event of its own and an end without ``[DONE]``.
    """
    async with aclosing(events):
        first = await anext(events)
        response = web.StreamResponse(
            headers={"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
        )
        await response.prepare(request)
        await response.write(_frame(first))
        try:
            async for event in events:
                await response.write(_frame(event))
        except LocalModelError as error:
            await response.write(_frame(error.body()))
        else:
            await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _frame(event: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(event) + b"\n\n"
