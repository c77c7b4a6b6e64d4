"""The HTTP client of the inference path: one session a process, tuned for many streams at once."""

import asyncio
import errno
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from inference.providers.base import Form, Upload

#: Seconds that the bytes after a stream's own end may take, for the connection to be used again.
END_SECONDS = 1.0
#: Bytes of a file that are read at a time.
PIECE_BYTES = 256 * 1024
_sessions: list[aiohttp.ClientSession] = []
_ending: dict[aiohttp.ClientResponse, asyncio.Task[None]] = {}
#: Whether the running request was sent over a connection made for it.
_fresh: ContextVar[bool] = ContextVar("fresh_connection")
#: Whether the pool is passed over: where one of its connections has died, others may have died with it.
_pass_pool: ContextVar[bool] = ContextVar("pass_pool", default=False)


class _Connector(aiohttp.TCPConnector):
    async def _get(self, *args: Any) -> Any:
        return None if _pass_pool.get() else await super()._get(*args)

    async def _create_connection(self, *args: Any, **kwargs: Any) -> Any:
        _fresh.set(True)
        return await super()._create_connection(*args, **kwargs)


@asynccontextmanager
async def connected() -> AsyncIterator[None]:
    """Keep the process's session open; one of the services of the web process."""
    session = aiohttp.ClientSession(
        # The default of 100 connections would starve hundreds of streams.
        connector=_Connector(limit=0, ttl_dns_cache=60, keepalive_timeout=30),
        # A cookie of one tenant's provider must not reach another's.
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        timeout=aiohttp.ClientTimeout(total=None),
        trust_env=False,
        # A few bytes can unpack to more than there is room for: whoever reads an answer does it with a limit.
        auto_decompress=False,
        read_bufsize=2**18,
        # Providers name themselves in long headers of their own, which nobody reads here.
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
    url: str, body: bytes | Form, headers: Mapping[str, str], patience: aiohttp.ClientTimeout
) -> aiohttp.ClientResponse:
    """Send a request and return the answer once its headers are there; the caller closes it.

    A form's files go straight from the disk.

    A connection out of the pool may have died while it was idle. Where it ends before any byte of an answer,
    the request is sent once more, over a new one; over a connection made for the request it is not, since the
    provider may be at work on it.

    Raises:
        aiohttp.ClientError: the provider cannot be reached, or ended the connection.
        TimeoutError: a time-out of ``patience`` has passed.
    """
    _fresh.set(False)
    try:
        return await _send(url, body, headers, patience)
    except aiohttp.ClientError as error:
        if _fresh.get() or not _ended_by_peer(error):
            raise
    passed = _pass_pool.set(True)
    try:
        return await _send(url, body, headers, patience)
    finally:
        _pass_pool.reset(passed)


async def _send(
    url: str, body: bytes | Form, headers: Mapping[str, str], patience: aiohttp.ClientTimeout
) -> aiohttp.ClientResponse:
    data = _multipart(body) if isinstance(body, Form) else body
    return await _sessions[-1].post(url, data=data, headers=headers, timeout=patience, allow_redirects=False)


def _multipart(form: Form) -> aiohttp.FormData:
    # Names are sent in UTF-8, as browsers do: with quoted ones aiohttp fails at every name that is not ASCII.
    data = aiohttp.FormData(default_to_multipart=True, quote_fields=False)
    for name, value in form.fields:
        data.add_field(name, value)
    for upload in form.files:
        data.add_field(upload.field, _Stored(upload), filename=upload.filename)
    return data


class _Stored(aiohttp.Payload):
    """A file that is opened when its turn comes and read as the provider takes it.

    An answer may come before all has been sent, so the file is closed here and not by whoever sent it.
    """

    _autoclose = True

    def __init__(self, upload: Upload) -> None:
        super().__init__(upload.path, content_type=upload.content_type)
        self._size = upload.path.stat().st_size

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("a file is sent as it is")

    async def write(self, writer: AbstractStreamWriter) -> None:
        loop = asyncio.get_running_loop()
        with self._value.open("rb", buffering=0) as file:
            while data := await loop.run_in_executor(None, file.read, PIECE_BYTES):
                await writer.write(data)


def _ended_by_peer(error: aiohttp.ClientError) -> bool:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return True
    return isinstance(error, aiohttp.ClientOSError) and error.errno in (errno.ECONNRESET, errno.EPIPE)


def let_end(response: aiohttp.ClientResponse) -> None:
    """Wait in the background for the bytes that end an answer which has said all; then it can be closed.

    Most servers send them in a packet of their own. With them the connection can serve again, and the client
    need not wait for them.
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
    """Be done with an answer: one that was read to its end gives its connection back, any other is closed."""
    if response not in _ending:
        response.close()
