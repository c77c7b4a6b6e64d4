"""Streamed responses of raw bytes, whose usage event is durable before they end."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Protocol

from gtapi.errors import APIError, translate


class Metered(Protocol):
    """A view that records the usage of a stream."""

    async def record(self) -> None: ...

    async def record_abandoned(self) -> None: ...

    def note(self, error: APIError) -> None: ...


async def metered_bytes(
    first: bytes, parts: AsyncGenerator[bytes, None], view: Metered
) -> AsyncGenerator[bytes, None]:
    """Yield a response that is not an event stream, and end it once the usage event is durable.

    ``first`` is the first part, already taken from ``parts``. If ``parts`` fails, the error propagates and closes
    the connection, the only way to signal a truncated response.
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
        failure = translate(error)
        view.note(failure)
        await view.record()
        raise failure from error
    await view.record()
