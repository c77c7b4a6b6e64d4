"""The web server's worker: uvicorn on uvloop and httptools, with a limit on headers."""

from typing import Any

import orjson
from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn_worker import UvicornWorker

from gtapi.errors import HeadersTooLarge
from gtapi.ids import uuid7


class LimitedProtocol(HttpToolsProtocol):
    """Refuses requests whose line and headers are larger than ``MAX_HEADER_BYTES``.

    uvicorn itself takes any number of them, from anybody.
    """

    _header_bytes = 0
    _in_headers = True

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_headers:
            self._header_bytes += len(data)
            if self._header_bytes > settings.MAX_HEADER_BYTES:
                self._refuse()

    def on_message_begin(self) -> None:
        self._in_headers, self._header_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_headers = False
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > settings.MAX_HEADER_BYTES:
            self._refuse()
        else:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if self.cycle is not None:
            super().on_message_complete()
        self._in_headers, self._header_bytes = True, 0

    def _refuse(self) -> None:
        """Answer 431 and close."""
        if self.transport.is_closing():
            return
        error = HeadersTooLarge(settings.MAX_HEADER_BYTES)
        body = orjson.dumps(error.body())
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
            b"content-type: application/json\r\nconnection: close\r\n"
            b"x-request-id: req_%s\r\ncontent-length: %d\r\n\r\n%s" % (uuid7().hex.encode(), len(body), body)
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
