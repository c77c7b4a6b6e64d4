"""The end of a stream: metered before its last bytes, never silent about a failure."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import orjson

from gtapi.errors import APIError, translate

DONE = b"data: [DONE]\n\n"


def error_event(error: APIError) -> bytes:
    """Return the event that every SDK raises; a stream that just ended would pass for a success."""
    return b"data: " + orjson.dumps(error.body()) + b"\n\n"


async def metered(
    parts: AsyncGenerator[bytes, None],
    *,
    record: Callable[[], Awaitable[None]],
    failed: Callable[[APIError], None],
    abandoned: Callable[[], Awaitable[None]],
) -> AsyncGenerator[bytes, None]:
    """Yield the parts of a stream, then ``[DONE]`` or the error that broke it off.

    Args:
        parts: whole events.
        record: makes the usage record durable; awaited before the last bytes.
        failed: notes the error in the record.
        abandoned: makes the record of a client that left durable.
    """
    try:
        async for part in parts:
            yield part
        ending = DONE
    except (asyncio.CancelledError, GeneratorExit):
        await parts.aclose()
        await abandoned()
        raise
    except Exception as error:  # noqa: BLE001 - the answer has begun: whatever it is becomes its last event
        problem = translate(error)
        failed(problem)
        ending = error_event(problem)
    await record()
    yield ending
