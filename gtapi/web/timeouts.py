"""Timeouts for reading request bodies."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings

from gtapi.errors import RequestTimeout

Receive = Callable[[], Awaitable[dict[str, Any]]]
#: Set in the ASGI scope by the server when the complete body has arrived.
BODY_COMPLETE = "gtapi.body_complete"


def with_body_timeout(scope: Mapping[str, Any], receive: Receive) -> Receive:
    """Return ``receive`` with a timeout. A body that has already arrived needs none, which saves the timer."""
    return receive if BODY_COMPLETE in scope else BodyTimeout(receive)


class BodyTimeout:
    """An ASGI ``receive`` that times out after ``BODY_SECONDS``, plus a second per ``BODY_MIN_RATE`` bytes.

    The allowance is capped at ``BODY_SECONDS``: a burst cannot buy a long silence. Only time spent waiting counts.
    After the body there is no timeout, so a later call can wait for the disconnect.

    Raises:
        RequestTimeout: the body was not received in time.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._left: float | None = settings.BODY_SECONDS

    async def __call__(self) -> dict[str, Any]:
        if self._left is None:
            return await self._receive()
        start = self._loop.time()
        try:
            # Data that has already arrived is returned even if no time is left.
            async with asyncio.timeout(self._left):
                message = await self._receive()
        except TimeoutError:
            raise RequestTimeout from None
        if not message.get("more_body", False):
            self._left = None
        else:
            waited = self._loop.time() - start
            earned = len(message.get("body", b"")) / settings.BODY_MIN_RATE
            self._left = min(self._left - waited + earned, settings.BODY_SECONDS)
        return message
