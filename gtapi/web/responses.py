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


class StreamResponse(HttpResponseBase):
    """An answer that is sent as it comes; ``parts`` yields bytes."""

    streaming = True

    def __init__(self, parts: AsyncGenerator[bytes, None], content_type: str) -> None:
        super().__init__(
            content_type=content_type, headers={"cache-control": "no-cache", "x-accel-buffering": "no"}
        )
        self.parts = parts


class EventStreamResponse(StreamResponse):
    """Server-sent events, each part whole ones; comments keep the connection alive in silence."""

    def __init__(self, parts: AsyncGenerator[bytes, None]) -> None:
        super().__init__(parts, "text/event-stream; charset=utf-8")
