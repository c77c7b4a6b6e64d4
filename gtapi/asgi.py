"""The ASGI application: sends API and health requests to the API handler, and all others to the admin handler."""

import asyncio
import gc
import os
from contextlib import AsyncExitStack
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gtapi.settings")
django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402 - Django must be set up first
from django.urls import get_resolver  # noqa: E402
from django.utils.module_loading import import_string  # noqa: E402

from gtapi.web.admin_handler import AdminHandler  # noqa: E402
from gtapi.web.api_handler import APIHandler, Send  # noqa: E402
from gtapi.web.timeouts import Receive  # noqa: E402

API_PREFIX = "/api/tenant"
HEALTH_PATHS = ("/healthz", "/readyz")


class Gateway:
    """The ASGI application. Its lifespan starts and stops the ``SERVICES`` of the settings."""

    def __init__(self) -> None:
        self.api = APIHandler()
        self.admin = AdminHandler()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            path = scope["path"]
            is_api = path.startswith(API_PREFIX) and path[len(API_PREFIX) :][:1] in ("", "/")
            await (self.api if is_api or path in HEALTH_PATHS else self.admin)(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as services:
            try:
                await receive()
                # Import all views now, so that a broken one fails the start and not the first request.
                get_resolver().check()
                for path in settings.SERVICES:
                    await services.enter_async_context(import_string(path)())
            except Exception as error:  # noqa: BLE001 - reported to the server, which then exits
                await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
                return
            # Objects that exist now live as long as the process, so garbage collection can skip them.
            asyncio.get_running_loop().call_later(1, _freeze_garbage_collector)
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


def _freeze_garbage_collector() -> None:
    gc.collect()
    gc.freeze()


application = Gateway()
