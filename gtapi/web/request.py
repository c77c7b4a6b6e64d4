"""The API's request class: reads the body on demand, with limits, and detects when the client disconnects."""

import asyncio
from collections.abc import AsyncGenerator
from functools import cached_property
from typing import Any

import orjson
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import QueryDict

from gtapi.errors import BadRequest, InvalidJSON, RequestTooLarge, UnsupportedMediaType
from gtapi.ids import uuid7
from gtapi.web.timeouts import Receive, with_body_timeout

#: Deepest nesting of a JSON body; orjson writes no more than 254 levels.
MAX_DEPTH = 100
#: Limits of a JSON body: top-level fields, and arrays and objects in total. Parsing blocks the event loop.
MAX_FIELDS = 1_000
MAX_CONTAINERS = 200_000


class ClientDisconnected(Exception):
    """The client closed its connection while its request was still being read."""


class APIRequest(ASGIRequest):
    """A request to the API.

    ``id`` is a UUIDv7 that the gateway generates; ``request_id`` is sent as ``x-request-id``.
    """

    def __init__(self, scope: dict[str, Any], receive: Receive) -> None:
        # Does not call ASGIRequest's constructor, which copies every header into META; the API rarely needs it.
        self.scope = scope
        self.receive = receive
        self.id = uuid7()
        self.request_id = f"req_{self.id.hex}"
        self.path = scope["path"]
        self.path_info = self.path
        self.script_name = ""
        self.method = scope["method"].upper()
        self.resolver_match = None
        self.urlconf = None
        self._messages = None
        self._read_started = False
        self.disconnected = False
        self.response_sent = False
        self._listener: asyncio.Task[None] | None = None

    @cached_property
    def META(self) -> dict[str, Any]:  # type: ignore[override]  # noqa: N802 - Django's name
        meta: dict[str, Any] = {"REQUEST_METHOD": self.method, "PATH_INFO": self.path}
        for name, value in self.scope["headers"]:
            key = name.decode("latin1").upper().replace("-", "_")
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
            text = value.decode("latin1")
            meta[key] = f"{meta[key]},{text}" if key in meta else text
        return meta

    @cached_property
    def GET(self) -> QueryDict:  # type: ignore[override]  # noqa: N802 - Django's name
        return QueryDict(self.scope.get("query_string", b""))

    @cached_property
    def COOKIES(self) -> dict[str, str]:  # type: ignore[override]  # noqa: N802 - Django's name
        return {}

    def header(self, name: bytes) -> str:
        """Return the first header with this name (in lower case), or an empty string."""
        for header, value in self.scope["headers"]:
            if header == name:
                return str(value.decode("latin1"))
        return ""

    def host(self) -> str:
        """Return the host that the client requested, exactly as sent."""
        if settings.BEHIND_PROXY and (forwarded := self.header(b"x-forwarded-host")):
            return forwarded.partition(",")[0].strip()
        return self.header(b"host")

    def origin(self) -> str:
        """Return the scheme and host that the client used, for building absolute URLs."""
        scheme = self.scope["scheme"]
        if settings.BEHIND_PROXY and (forwarded := self.header(b"x-forwarded-proto")):
            scheme = forwarded.partition(",")[0].strip()
        return f"{'https' if scheme == 'https' else 'http'}://{self.host()}"

    async def iter_body(self, limit: int) -> AsyncGenerator[bytes, None]:
        """Yield the body as it arrives.

        Raises:
            RequestTooLarge: it is larger than ``limit`` bytes.
            RequestTimeout: it does not arrive in time, see ``BodyTimeout``.
            ClientDisconnected: the client closed its connection.
        """
        length = self.header(b"content-length")
        if length.isdigit() and int(length) > limit:
            raise RequestTooLarge(limit)
        size = 0
        more = True
        receive = with_body_timeout(self.scope, self.receive)
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnected = True
                raise ClientDisconnected
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise RequestTooLarge(limit)
            more = message.get("more_body", False)
            yield part

    async def read_body(self, limit: int) -> bytes:
        """Return the complete body; see ``iter_body``."""
        parts = [part async for part in self.iter_body(limit)]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def json(self, *, optional: bool = False) -> dict[str, Any]:
        """Return the body, which must be a JSON object, and start watching for a disconnect.

        If ``optional``, an empty body counts as an empty object.

        Raises:
            UnsupportedMediaType: the content type is not JSON.
            RequestTooLarge: it is larger than ``MAX_BODY_BYTES``.
            RequestTimeout: it does not arrive in time.
            InvalidJSON: it is not a JSON object, or too large or nested too deeply.
            BadRequest: it contains a NUL character.
            ClientDisconnected: the client closed its connection.
        """
        content_type = self.header(b"content-type").partition(";")[0].strip().lower()
        if content_type and content_type != "application/json" and not content_type.endswith("+json"):
            raise UnsupportedMediaType
        body = await self.read_body(settings.MAX_BODY_BYTES)
        self.cancel_on_disconnect()
        if optional and not body:
            return {}
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise InvalidJSON(f"We could not parse the JSON body of your request: {error}") from None
        if not isinstance(data, dict):
            raise InvalidJSON("The request body must be a JSON object.")
        has_nul = b"\\u0000" in body
        # The full check is slow. Only a body with this many brackets or this escape sequence can fail it.
        if has_nul or body.count(b"[") + body.count(b"{") > MAX_DEPTH or len(data) > MAX_FIELDS:
            _check_json(data, has_nul=has_nul)
        return data

    def cancel_on_disconnect(self) -> None:
        """Cancel the current task when the client disconnects. Call it after the body has been read."""
        task = asyncio.current_task()
        if task is not None and self._listener is None:
            self._listener = asyncio.get_running_loop().create_task(self._listen(task))

    async def _listen(self, task: "asyncio.Task[Any]") -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        if not self.response_sent:
            self.disconnected = True
            task.cancel()


def _check_json(data: dict[str, Any], *, has_nul: bool) -> None:
    """Refuse a body that is too large or nested too deeply, or contains NUL, which PostgreSQL cannot store."""
    if len(data) > MAX_FIELDS:
        raise InvalidJSON(f"The JSON body has more than {MAX_FIELDS:,} fields.")
    level: list[Any] = [data]
    count = 0
    for _ in range(MAX_DEPTH):
        inside = [value.values() if isinstance(value, dict) else value for value in level]
        if has_nul:
            names = [name for value in level if isinstance(value, dict) for name in value]
            texts = [item for items in inside for item in items if isinstance(item, str)]
            if any("\0" in text for text in (*names, *texts)):
                raise BadRequest("The request contains a NUL character.")
        level = [item for items in inside for item in items if isinstance(item, dict | list)]
        count += len(level)
        if count > MAX_CONTAINERS:
            raise InvalidJSON(f"The JSON body contains more than {MAX_CONTAINERS:,} arrays and objects.")
        if not level:
            return
    raise InvalidJSON(f"The JSON body is nested more than {MAX_DEPTH} levels deep.")
