"""The end of a stream: metered before its last bytes, never silent about a failure."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

import orjson

from gtapi.errors import APIError, translate

DONE = b"data: [DONE]\n\n"


def error_event(error: APIError) -> bytes:
    """Return the event that every SDK raises; a stream that just ended would pass for a success."""
    return b"data: " + orjson.dumps(error.body()) + b"\n\n"


class Metered(Protocol):
    """Whoever keeps the usage record of a stream: a view."""

    async def record(self) -> None: ...

    async def record_abandoned(self) -> None: ...

    def note(self, problem: APIError) -> None: ...


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


async def metered_bytes(
    first: bytes, parts: AsyncGenerator[bytes, None], view: Metered
) -> AsyncGenerator[bytes, None]:
    """Yield an answer that is no event stream; its end comes once the usage record is durable.

    ``first`` was taken from ``parts`` already. Where it breaks off, the connection is closed before the answer's
    end: there is no other way to say so.
    """
    try:
        yield first
        async for part in parts:
            yield part
    except (asyncio.CancelledError, GeneratorExit):
        await parts.aclose()
        await view.record_abandoned()
        raise
    except Exception as error:
        view.note(translate(error))
        await view.record()
        raise
    await view.record()
