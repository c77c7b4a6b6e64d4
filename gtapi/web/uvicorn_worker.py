"""The web server's worker: uvicorn on uvloop and httptools, with limits on headers and on what nobody reads."""

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
#: Longest beginning of such an offer that does not show yet what it is, in bytes.
_OFFER_BYTES = len(b"\r\nupgrade")


def _declined(data: bytes, fed: bytes = b"") -> bytes:
    """Return a request whose offer of another protocol the parser does not see.

    Of a name whose beginning the parser got before, as the end of ``fed``, the rest makes another one. Empty lines
    before the request are no end of its headers.
    """
    empty = b"" if fed else data[: len(data) - len(data.lstrip(b"\r\n"))]
    head, end, body = (fed + data[len(empty) :]).partition(b"\r\n\r\n")
    for offer in reversed(list(_UPGRADE.finditer(head))):
        at = max(offer.start(), len(fed))
        head = head[:at] + b"declined-" + head[at:]
    return empty + (head + end + body)[len(fed) :]


class _Answering(Transport):
    """The connection as an answer sees it, which ends it in the protocol's way."""

    def __init__(self, protocol: "LimitedProtocol") -> None:
        super().__init__()
        self._protocol = protocol
        self.write = protocol.transport.write  # type: ignore[method-assign]
        self.is_closing = protocol.transport.is_closing  # type: ignore[method-assign]

    def close(self) -> None:
        self._protocol.part()


class LimitedProtocol(HttpToolsProtocol):
    """Refuses requests whose line and headers are larger than ``MAX_HEADER_BYTES``.

    uvicorn itself takes any number of them, from anybody. It also loses the body of a request that offers to go
    on in another protocol, as Java's own client and ``curl --http2`` do without TLS: here the offer is ignored,
    which HTTP leaves to the server. And where a request is answered before its body has come, uvicorn takes the
    rest for ever, which nobody reads: here the answer says that it is the connection's last.
    """

    #: Bytes since the parser last made something of them: of a header, or of what may follow a chunked body.
    _silent_bytes = 0
    #: The end of the headers that the parser has got, while there are more to come.
    _fed = b""
    _in_headers = False
    _in_body = False
    #: Ends a connection on which no headers come although something did, or nothing at all ever.
    _patience: TimerHandle | None = None
    #: Whether the connection may go on once the request that is coming has been answered, and whether it has ended
    #: but for what is still coming.
    _goes_on = True
    _parting = False

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._answering = _Answering(self)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_headers(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(settings.HEADER_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def data_received(self, data: bytes) -> None:
        if self._in_headers or (not self._in_body and b"pgrade:" in data):
            data = _declined(data, self._fed)
        self._silent_bytes += len(data)
        super().data_received(data)
        if self._in_headers:
            # What ended in this read, a body or empty lines, stands before these headers.
            self._fed = (self._fed + data).rpartition(b"\r\n\r\n")[2][-_OFFER_BYTES:]
        # Empty lines, too, end the server's own wait for the next request.
        if self._in_headers or not (self._in_body or self._is_answering()):
            self._await_headers()
        if self._silent_bytes > settings.MAX_HEADER_BYTES:
            if self._in_headers:
                self._refuse()
            else:
                # Trailers without end: whoever sends them may be in the middle of an answer.
                self.transport.close()

    def on_message_begin(self) -> None:
        # Headers that begin in this very read are counted from the next one on: a body may stand before them.
        self._in_headers, self._silent_bytes, self._fed = True, 0, b""
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come here, too, and are no headers: nobody has looked at them on the way.
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_headers, self._in_body, self._silent_bytes = False, True, 0
        self._stop_waiting()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > settings.MAX_HEADER_BYTES:
            self._refuse()
        elif not self.transport.is_closing():
            super().on_headers_complete()
            self.cycle.transport = self._answering
            # An answer that begins before the body is there is the last one.
            self._goes_on, self.cycle.keep_alive = self.cycle.keep_alive, False

    def on_body(self, body: bytes) -> None:
        self._silent_bytes = 0
        if self.cycle is not None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body, self._silent_bytes = False, 0
        if self._parting:
            self.transport.close()
        elif self.cycle is not None:
            if not self.cycle.response_started:
                self.cycle.keep_alive = self._goes_on
            self.cycle.scope[BODY_COMPLETE] = True  # type: ignore[literal-required] # a word of our own
            super().on_message_complete()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def part(self) -> None:
        """End the connection after an answer.

        A client that is still sending would get a reset, and might never read the answer: what comes within
        ``BODY_SECONDS`` is taken, and thrown away.
        """
        if not self._in_body or self._is_answering() or self.transport.is_closing():
            self.transport.close()
            return
        self._parting = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._patience = self.loop.call_later(settings.BODY_SECONDS, self.transport.close)

    def shutdown(self) -> None:
        self._goes_on = False
        super().shutdown()

    def send_400_response(self, msg: str) -> None:
        self._end(b"400 Bad Request", BadRequest(msg))

    def _refuse(self) -> None:
        self._end(b"431 Request Header Fields Too Large", HeadersTooLarge(settings.MAX_HEADER_BYTES))

    def _end(self, status: bytes, error: APIError) -> None:
        """Answer what never became a request, and close."""
        if self._parting:
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
