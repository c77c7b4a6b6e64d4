"""One request to a provider and its response, within the provider's timeouts and our limits; for any wire."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Self

import aiohttp

from gtapi.errors import UpstreamFailed, UpstreamTimeout
from inference.providers import http_client
from inference.providers.base import Form, ProviderConnection
from inference.providers.decompression import decompressor
from inference.providers.error_mapping import detail
from inference.providers.stream_timeout import StreamTimeout

#: Largest response that is read, in bytes, whole or streamed.
MAX_RESPONSE_BYTES = 128 * 1024 * 1024
#: How much of an error's body is read, in bytes.
MAX_ERROR_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class WholeResponse:
    """A whole response; of one whose status is not 200, ``body`` is the beginning."""

    status: int
    headers: Mapping[str, str]
    media_type: str
    body: bytes


async def fetch(
    connection: ProviderConnection, url: str, headers: Mapping[str, str], body: bytes | Form
) -> WholeResponse:
    """Send a request and return the whole response.

    Raises:
        UpstreamTimeout: the provider's total time has passed.
        UpstreamFailed: the provider cannot be reached, broke off, or sent too much.
    """
    try:
        async with asyncio.timeout(connection.timeouts.total):
            response = await http_client.post(url, body, headers, _timeout(connection.timeouts.connect))
            try:
                data = await _read(connection, response)
            except BaseException:
                response.close()
                raise
            response.release()
    except TimeoutError as error:
        raise UpstreamTimeout(detail=f"{connection.name}: no whole response in time") from error
    except aiohttp.ClientError as error:
        raise _connection_error(connection, error) from error
    return WholeResponse(response.status, response.headers, response.content_type, data)


class ResponseStream:
    """An async context manager that sends a request and iterates over the bytes of the response as they arrive.

    It enters once the headers are there. Leaving before the end of the response closes the connection.

    Raises:
        UpstreamTimeout: the provider was silent for too long, or its total time has passed.
        UpstreamFailed: the provider cannot be reached, broke off, or sent too much.
    """

    def __init__(
        self, connection: ProviderConnection, url: str, headers: Mapping[str, str], body: bytes | Form
    ) -> None:
        self._connection = connection
        self._request = (url, body, headers, _timeout(connection.timeouts.connect))
        self._response: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> Self:
        self._timeout = StreamTimeout(self._connection.timeouts)
        try:
            self._response = response = await http_client.post(*self._request)
            self.status, self.headers = response.status, response.headers
            self.media_type = response.content_type
            if response.status == 200:
                self._reader = _Reader(self._connection, response)
        except BaseException as error:
            self._close()
            self._translate(error)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()
        if error is not None:
            self._translate(error)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        assert self._response is not None  # noqa: S101 - it is set on entering
        self._timeout.resume()
        received = await self._response.content.readany()
        self._timeout.received()
        if not received:
            raise StopAsyncIteration
        return self._reader.decoded(received)

    async def beginning(self) -> bytes:
        """Return the beginning of the body, which turned out to be an error."""
        assert self._response is not None  # noqa: S101 - it is set on entering
        return await _beginning(self._response)

    def release(self) -> None:
        """Reuse the connection after an end mark that precedes the end of the body."""
        assert self._response is not None  # noqa: S101 - it is set on entering
        http_client.let_end(self._response)

    def _close(self) -> None:
        self._timeout.stop()
        if self._response is not None:
            http_client.finish(self._response)

    def _translate(self, error: BaseException) -> None:
        """Raise the error for the client, if ``error`` is a timeout or a fault of the connection."""
        name = self._connection.name
        if isinstance(error, asyncio.CancelledError) and self._timeout.expired:
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            raise UpstreamTimeout(detail=f"{name}: silent for too long") from error
        if isinstance(error, TimeoutError):
            raise UpstreamTimeout(detail=f"{name}: the stream did not end in time") from error
        if isinstance(error, aiohttp.ClientError):
            raise _connection_error(self._connection, error) from error


class _Reader:
    """Decompresses what is read of a response, up to ``MAX_RESPONSE_BYTES``."""

    __slots__ = ("_connection", "_decompress", "_size")

    def __init__(self, connection: ProviderConnection, response: aiohttp.ClientResponse) -> None:
        self._connection = connection
        self._decompress = decompressor(response.headers.get("content-encoding", ""))
        self._size = 0

    def decoded(self, received: bytes) -> bytes:
        if self._decompress is not None:
            received = self._decompress(received)
        self._size += len(received)
        if self._size > MAX_RESPONSE_BYTES:
            raise UpstreamFailed(
                detail=f"{self._connection.name}: the response is larger than {MAX_RESPONSE_BYTES} bytes"
            )
        return received


@lru_cache(maxsize=256)
def _timeout(connect: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect)


async def _read(connection: ProviderConnection, response: aiohttp.ClientResponse) -> bytes:
    """Return the body, or the beginning of an error's body."""
    if response.status != 200:
        return await _beginning(response)
    reader = _Reader(connection, response)
    parts: list[bytes] = []
    while received := await response.content.readany():
        parts.append(reader.decoded(received))
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Return the beginning of an error's body; what cannot be decompressed stays as it is."""
    data = await response.content.read(MAX_ERROR_BYTES)
    with suppress(UpstreamFailed):
        if decompress := decompressor(response.headers.get("content-encoding", "")):
            data = decompress(data)[:MAX_ERROR_BYTES]
    return data


def _connection_error(connection: ProviderConnection, error: aiohttp.ClientError) -> UpstreamFailed:
    return UpstreamFailed(detail=detail(connection, f"{type(error).__name__}: {error}"))
