"""The HTTP client for calls to providers: one session per process, tuned for many concurrent streams."""

import asyncio
import errno
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from inference.providers.base import Form, Upload

#: How long to wait for the end of a body after a stream's end mark, in seconds, to reuse the connection.
END_SECONDS = 1.0
#: Size of one read of an uploaded file, in bytes.
READ_BYTES = 256 * 1024
_sessions: list[aiohttp.ClientSession] = []
_ending: dict[aiohttp.ClientResponse, asyncio.Task[None]] = {}
#: Whether the current request was sent over a new connection.
_fresh: ContextVar[bool] = ContextVar("fresh_connection")
#: Whether to bypass the pool: if one of its connections has died, others may have died with it.
_pass_pool: ContextVar[bool] = ContextVar("pass_pool", default=False)


class _Connector(aiohttp.TCPConnector):
    async def _get(self, *args: Any) -> Any:
        return None if _pass_pool.get() else await super()._get(*args)

    async def _create_connection(self, *args: Any, **kwargs: Any) -> Any:
        _fresh.set(True)
        return await super()._create_connection(*args, **kwargs)


@asynccontextmanager
async def connected() -> AsyncIterator[None]:
    """Open the session of the process; one of the services of the web process."""
    session = aiohttp.ClientSession(
        # The default of 100 connections would starve hundreds of streams.
        connector=_Connector(limit=0, ttl_dns_cache=60, keepalive_timeout=30),
        # A cookie of one tenant's provider must not reach another's.
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        timeout=aiohttp.ClientTimeout(total=None),
        trust_env=False,
        # A few bytes can decompress to more than fits into memory: ``decompression`` has a limit.
        auto_decompress=False,
        read_bufsize=2**18,
        # Some providers send long headers, which are ignored.
        max_line_size=2**15,
        max_field_size=2**15,
    )
    _sessions.append(session)
    try:
        yield
    finally:
        _sessions.remove(session)
        await session.close()


async def post(
    url: str, body: bytes | Form, headers: Mapping[str, str], limits: aiohttp.ClientTimeout
) -> aiohttp.ClientResponse:
    """Send a request and return the response once its headers are there. The caller closes it.

    Files of a form are streamed from disk. A pooled connection may have died while it was idle: if it ends before
    any byte of the response, the request is sent again, over a new connection. A request over a new connection is
    never repeated, since the provider may be processing it.

    Raises:
        aiohttp.ClientError: the provider cannot be reached, or ended the connection.
        TimeoutError: one of the timeouts has passed.
    """
    _fresh.set(False)
    try:
        return await _send(url, body, headers, limits)
    except aiohttp.ClientError as error:
        if _fresh.get() or not _ended_by_peer(error):
            raise
    passed = _pass_pool.set(True)
    try:
        return await _send(url, body, headers, limits)
    finally:
        _pass_pool.reset(passed)


async def _send(
    url: str, body: bytes | Form, headers: Mapping[str, str], limits: aiohttp.ClientTimeout
) -> aiohttp.ClientResponse:
    data = _multipart(body) if isinstance(body, Form) else body
    return await _sessions[-1].post(url, data=data, headers=headers, timeout=limits, allow_redirects=False)


def _multipart(form: Form) -> aiohttp.FormData:
    # Names are sent in UTF-8, as browsers do: aiohttp cannot quote names that are not ASCII.
    data = aiohttp.FormData(default_to_multipart=True, quote_fields=False)
    for name, value in form.fields:
        data.add_field(name, value)
    for upload in form.files:
        data.add_field(upload.field, _FilePayload(upload), filename=upload.filename)
    return data


class _FilePayload(aiohttp.Payload):
    """A file that is opened when it is sent, and read as fast as the provider accepts it.

    It is closed here, since the response may arrive before all of it was sent.
    """

    _autoclose = True

    def __init__(self, upload: Upload) -> None:
        super().__init__(upload.path, content_type=upload.content_type)
        self._size = upload.path.stat().st_size

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("a file is sent as bytes")

    async def write(self, writer: AbstractStreamWriter) -> None:
        loop = asyncio.get_running_loop()
        with self._value.open("rb", buffering=0) as file:
            while data := await loop.run_in_executor(None, file.read, READ_BYTES):
                await writer.write(data)


def _ended_by_peer(error: aiohttp.ClientError) -> bool:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return True
    return isinstance(error, aiohttp.ClientOSError) and error.errno in (errno.ECONNRESET, errno.EPIPE)


def let_end(response: aiohttp.ClientResponse) -> None:
    """Read the end of a body in the background, after its end mark, so that the connection can be reused.

    Most servers send it in a separate packet, for which the client need not wait.
    """
    if not response.content.at_eof():
        _ending[response] = asyncio.get_running_loop().create_task(_await_end(response))


async def _await_end(response: aiohttp.ClientResponse) -> None:
    try:
        async with asyncio.timeout(END_SECONDS):
            await response.content.readany()
    except (TimeoutError, aiohttp.ClientError):
        pass
    finally:
        del _ending[response]
        response.close()


def finish(response: aiohttp.ClientResponse) -> None:
    """Close a response, unless ``let_end`` still reads it. After its end this does nothing."""
    if response not in _ending:
        response.close()
