"""The gunicorn worker: uvicorn with limits on request headers and on unread request bodies."""

import re
from asyncio import TimerHandle, Transport
from typing import Any

import orjson
from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn_worker import UvicornWorker

from gtapi.errors import APIError, BadRequest, HeadersTooLarge
from gtapi.ids import uuid7
from gtapi.web.timeouts import BODY_COMPLETE

_UPGRADE = re.compile(rb"(?i)(?<=\r\n)upgrade(?=:)")
#: Bytes of an incomplete match of ``_UPGRADE`` to remember between two reads.
_OVERLAP_BYTES = len(b"\r\nupgrade")


def _without_upgrade(data: bytes, fed: bytes = b"") -> bytes:
    """Return request data with its ``Upgrade`` headers renamed, so that the parser ignores them.

    ``fed`` is the end of the data that the parser already has: a header name may be split between two reads. Empty
    lines before the request do not end its headers.
    """
    empty = b"" if fed else data[: len(data) - len(data.lstrip(b"\r\n"))]
    head, end, body = (fed + data[len(empty) :]).partition(b"\r\n\r\n")
    for match in reversed(list(_UPGRADE.finditer(head))):
        at = max(match.start(), len(fed))
        head = head[:at] + b"declined-" + head[at:]
    return empty + (head + end + body)[len(fed) :]


class _ResponseTransport(Transport):
    """The transport that a response writes to. Closing it closes the connection gracefully."""

    def __init__(self, protocol: "LimitedProtocol") -> None:
        super().__init__()
        self._protocol = protocol
        self.write = protocol.transport.write  # type: ignore[method-assign]
        self.is_closing = protocol.transport.is_closing  # type: ignore[method-assign]

    def close(self) -> None:
        self._protocol.close_gracefully()


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with three changes.

    - A request line with headers larger than ``MAX_HEADER_BYTES`` is refused; uvicorn has no limit.
    - ``Upgrade`` headers are ignored, as HTTP allows. Java's HTTP client and ``curl --http2`` send them, and
      uvicorn loses the body of such a request.
    - If a response starts before the request body has arrived, it closes the connection. uvicorn would read the
      rest of the body forever.
    """

    #: Bytes received since the parser last made progress: headers, or trailers of a chunked body.
    _unparsed_bytes = 0
    #: The end of the incomplete headers that the parser has received.
    _fed = b""
    _in_headers = False
    _in_body = False
    #: Closes the connection when the headers of a request do not arrive in time.
    _timeout: TimerHandle | None = None
    #: Whether to keep the connection open after the current request.
    _keep_alive = True
    #: Whether the connection is closed for writing and discards what it receives (a lingering close).
    _lingering = False

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._response_transport = _ResponseTransport(self)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_headers(self) -> None:
        if self._timeout is None:
            self._timeout = self.loop.call_later(settings.HEADER_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None

    def data_received(self, data: bytes) -> None:
        if self._in_headers or (not self._in_body and b"pgrade:" in data):
            data = _without_upgrade(data, self._fed)
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if self._in_headers:
            # A body or empty lines that ended in this read precede these headers.
            self._fed = (self._fed + data).rpartition(b"\r\n\r\n")[2][-_OVERLAP_BYTES:]
        # Empty lines, too, stop uvicorn's keep-alive timer.
        if self._in_headers or not (self._in_body or self._is_responding()):
            self._await_headers()
        if self._unparsed_bytes > settings.MAX_HEADER_BYTES:
            if self._in_headers:
                self._refuse()
            else:
                # Endless trailers; a response may be in progress, so no error can be sent.
                self.transport.close()

    def on_message_begin(self) -> None:
        # Counting starts with the next read, since a body may precede the headers in this one.
        self._in_headers, self._unparsed_bytes, self._fed = True, 0, b""
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers are reported here, too. Ignore them: proxies do not filter them as they filter headers.
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_headers, self._in_body, self._unparsed_bytes = False, True, 0
        self._stop_waiting()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > settings.MAX_HEADER_BYTES:
            self._refuse()
        elif not self.transport.is_closing():
            super().on_headers_complete()
            self.cycle.transport = self._response_transport
            # A response that starts before the body is complete closes the connection.
            self._keep_alive, self.cycle.keep_alive = self.cycle.keep_alive, False

    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        if self.cycle is not None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body, self._unparsed_bytes = False, 0
        if self._lingering:
            self.transport.close()
        elif self.cycle is not None:
            if not self.cycle.response_started:
                self.cycle.keep_alive = self._keep_alive
            self.cycle.scope[BODY_COMPLETE] = True  # type: ignore[literal-required]
            super().on_message_complete()

    def _is_responding(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def close_gracefully(self) -> None:
        """Close the connection after a response.

        A client that is still sending would get a reset, and might not read the response. So the rest of the
        body is received for up to ``BODY_SECONDS``, and discarded.
        """
        if not self._in_body or self._is_responding() or self.transport.is_closing():
            self.transport.close()
            return
        self._lingering = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timeout = self.loop.call_later(settings.BODY_SECONDS, self.transport.close)

    def shutdown(self) -> None:
        self._keep_alive = False
        super().shutdown()

    def send_400_response(self, msg: str) -> None:
        self._end(b"400 Bad Request", BadRequest(msg))

    def _refuse(self) -> None:
        self._end(b"431 Request Header Fields Too Large", HeadersTooLarge(settings.MAX_HEADER_BYTES))

    def _end(self, status: bytes, error: APIError) -> None:
        """Send an error response for data that is not a valid request, and close the connection."""
        if self._lingering:
            self.transport.close()
        if self.transport.is_closing():
            return
        body = orjson.dumps(error.body())
        self.transport.write(
            b"HTTP/1.1 %s\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"x-request-id: req_%s\r\ncontent-length: %d\r\n\r\n%s"
            % (status, uuid7().hex.encode(), len(body), body)
        )
        self.transport.close()


class GatewayWorker(UvicornWorker):  # type: ignore[misc]
    CONFIG_KWARGS: dict[str, Any] = {
        "loop": "uvloop",
        "http": LimitedProtocol,
        "lifespan": "on",
        "access_log": False,
        "server_header": False,
        "timeout_keep_alive": 75,
        "proxy_headers": False,
    }
