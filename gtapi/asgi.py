"""ASGI: the API's prefix and the health pages go to the lean handler, everything else to Django's own."""

import asyncio
import gc
import os
from contextlib import AsyncExitStack
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gtapi.settings")
django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402 - the registry has to be ready
from django.urls import get_resolver  # noqa: E402
from django.utils.module_loading import import_string  # noqa: E402

from gtapi.web.admin_handler import AdminHandler  # noqa: E402
from gtapi.web.api_handler import APIHandler, Send  # noqa: E402
from gtapi.web.timeouts import Receive  # noqa: E402

PREFIX = "/api/tenant"
HEALTH = ("/healthz", "/readyz")


class Gateway:
    """The whole application. Its lifespan is that of ``SERVICES``."""

    def __init__(self) -> None:
        self.api = APIHandler()
        self.pages = AdminHandler()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            path = scope["path"]
            is_api = path.startswith(PREFIX) and path[len(PREFIX) :][:1] in ("", "/")
            await (self.api if is_api or path in HEALTH else self.pages)(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as services:
            try:
                await receive()
                # The views are imported now: a mistake in one stops the start and not the first request.
                get_resolver().check()
                for path in settings.SERVICES:
                    await services.enter_async_context(import_string(path)())
            except Exception as error:  # noqa: BLE001 - said to the server, which then refuses to start
                await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
                return
            # What exists by now lives as long as the process: the collector need not look at it again.
            asyncio.get_running_loop().call_later(1, _freeze)
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


def _freeze() -> None:
    gc.collect()
    gc.freeze()


application = Gateway()
