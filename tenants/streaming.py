"""Streams that are no events: metered before their end, never silent about a failure."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Protocol

from gtapi.errors import APIError, translate


class Metered(Protocol):
    """Whoever keeps the usage record of a stream: a view."""

    async def record(self) -> None: ...

    async def record_abandoned(self) -> None: ...

    def note(self, problem: APIError) -> None: ...


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
        problem = translate(error)
        view.note(problem)
        await view.record()
        raise problem from error
    await view.record()
