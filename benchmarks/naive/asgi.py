"""The naive gateway's ASGI application: Django's stock handler, with a lifespan that runs the services."""

import os
from contextlib import AsyncExitStack
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.naive.settings")

from django.core.asgi import get_asgi_application

_pages = get_asgi_application()

from django.conf import settings  # noqa: E402 - the registry has to be ready
from django.utils.module_loading import import_string  # noqa: E402


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "lifespan":
        await _pages(scope, receive, send)
        return
    await receive()
    async with AsyncExitStack() as services:
        for path in settings.SERVICES:
            await services.enter_async_context(import_string(path)())
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})
