"""Answers of the API, as light as the lean handler can send them."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import orjson
from django.http import HttpResponse
from django.http.response import HttpResponseBase


class JSONResponse(HttpResponse):
    """A JSON answer written by orjson.

    Args:
        data: anything that orjson can write.
        status: the HTTP status.
        headers: more headers.
    """

    def __init__(self, data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(
            orjson.dumps(data), status=status, content_type="application/json", headers=dict(headers or {})
        )


class EventStream(HttpResponseBase):
    """Server-sent events; ``events`` yields bytes, each part whole events."""

    streaming = True

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(
            content_type="text/event-stream; charset=utf-8",
            headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
        )
        self.events = events
