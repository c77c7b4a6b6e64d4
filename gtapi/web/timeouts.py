"""How long a client may take to send the body of its request."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings

from gtapi.errors import RequestTimeout

Receive = Callable[[], Awaitable[dict[str, Any]]]
#: What the web server's worker writes into the scope of a request whose body is there as a whole.
BODY_COMPLETE = "gtapi.body_complete"


def with_body_timeout(scope: Mapping[str, Any], receive: Receive) -> Receive:
    """Return a ``receive`` that waits for the body only so long; a timer costs as much as looking up the key."""
    return receive if BODY_COMPLETE in scope else BodyTimeout(receive)


class BodyTimeout:
    """``receive`` with an end: ``BODY_SECONDS``, and a second more for each ``BODY_MIN_RATE`` bytes that came.

    There are never more than ``BODY_SECONDS`` left: who sends much at once may not be silent for the longer. Only
    waiting is counted, and nothing is after the body: that the client leaves may take as long as it does.

    Raises:
        RequestTimeout: the body did not come in time.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._left: float | None = settings.BODY_SECONDS

    async def __call__(self) -> dict[str, Any]:
        if self._left is None:
            return await self._receive()
        began = self._loop.time()
        try:
            # What is there already is taken, whatever is left.
            async with asyncio.timeout(self._left):
                message = await self._receive()
        except TimeoutError:
            raise RequestTimeout from None
        if not message.get("more_body", False):
            self._left = None
        else:
            waited = self._loop.time() - began
            earned = len(message.get("body", b"")) / settings.BODY_MIN_RATE
            self._left = min(self._left - waited + earned, settings.BODY_SECONDS)
        return message
