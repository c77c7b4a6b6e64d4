"""The end of a stream of events: metered before its last bytes, never silent about a failure."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import orjson

from gtapi.errors import APIError, translate
from tenants.streaming import Metered

DONE = b"data: [DONE]\n\n"


def error_event(error: APIError) -> bytes:
    """Return the event that every SDK raises; a stream that just ended would pass for a success."""
    return b"data: " + orjson.dumps(error.body()) + b"\n\n"


async def metered(
    first: bytes, parts: AsyncGenerator[bytes, None], view: Metered, done: Callable[[], bytes]
) -> AsyncGenerator[bytes, None]:
    """Yield a stream, whole events, then what ``done`` returns or the error that broke it off.

    ``first`` was taken from ``parts`` already. The usage record is durable before the last bytes, or when the
    client has left.
    """
    try:
        yield first
        async for part in parts:
            if part:
                yield part
        ending = done()
    except (asyncio.CancelledError, GeneratorExit):
        await parts.aclose()
        await view.record_abandoned()
        raise
    except Exception as error:  # noqa: BLE001 - the answer has begun: whatever it is becomes its last event
        problem = translate(error)
        view.note(problem)
        ending = error_event(problem)
    await view.record()
    yield ending
