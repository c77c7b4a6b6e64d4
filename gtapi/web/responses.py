"""Response classes of the API: JSON, byte streams and server-sent events."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import orjson
from django.http import HttpResponse
from django.http.response import HttpResponseBase


class JSONResponse(HttpResponse):
    """A JSON response, serialized with orjson."""

    def __init__(self, data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(
            orjson.dumps(data), status=status, content_type="application/json", headers=dict(headers or {})
        )


class StreamResponse(HttpResponseBase):
    """A streamed response; ``parts`` yields bytes."""

    streaming = True

    def __init__(self, parts: AsyncGenerator[bytes, None], content_type: str) -> None:
        super().__init__(
            content_type=content_type, headers={"cache-control": "no-cache", "x-accel-buffering": "no"}
        )
        self.parts = parts


class EventStreamResponse(StreamResponse):
    """A stream of server-sent events. Each part holds complete events: comments may be sent between parts."""

    def __init__(self, parts: AsyncGenerator[bytes, None]) -> None:
        super().__init__(parts, "text/event-stream; charset=utf-8")
