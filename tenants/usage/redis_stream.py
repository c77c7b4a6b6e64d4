"""A minimal asyncio client for the Redis stream in which usage events wait for the drain.

redis-py takes at least 80 µs of CPU time per command, a large part of what a whole request costs. The ledger sends
one command and reads one short reply, so this module implements only that much of the protocol.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import cast

from redis.asyncio.connection import (
    AbstractConnection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.connection import Connection as TCPConnection

STREAM = "gtapi:usage"
#: The stream for lines that the drain cannot store.
DEAD_LETTERS = "gtapi:usage:dead"
#: The field of a stream entry that holds the events, one per line.
FIELD = "records"
#: Timeout in seconds for a reply; after that, Redis counts as unavailable.
REPLY_SECONDS = 1.0

Reply = bytes | int | None


class RedisUnavailable(Exception):
    """Redis cannot be reached, does not reply or replies with an error. The command may have been executed."""


class RedisErrorReply(Exception):
    """Redis replied with an error, of which only the code is reported."""


class RedisConnection(asyncio.Protocol):
    """A connection to Redis with pipelining: replies arrive in the order of the commands."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[asyncio.Future[Reply]] = deque()
        self._received = b""

    @classmethod
    async def open(cls, target: AbstractConnection) -> "RedisConnection":
        """Connect to the server of a redis-py connection and log in. Raises OSError or RedisErrorReply."""
        loop = asyncio.get_running_loop()
        if isinstance(target, UnixDomainSocketConnection):
            _, connection = await loop.create_unix_connection(cls, target.path)
        else:
            tcp = cast("TCPConnection", target)
            tls = tcp.ssl_context.get() if isinstance(tcp, SSLConnection) else None
            _, connection = await loop.create_connection(cls, tcp.host, tcp.port, ssl=tls)
        try:
            if target.password:
                login = [target.username] if target.username else []
                await connection.execute("AUTH", *login, target.password)
            if target.db:
                await connection.execute("SELECT", str(target.db))
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def execute(self, *parts: str | bytes) -> "asyncio.Future[Reply]":
        """Send a command and return a future of its reply, which may raise OSError or RedisErrorReply."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("The connection to Redis is closed.")
        command = [b"*%d\r\n" % len(parts)]
        for part in parts:
            data = part.encode() if isinstance(part, str) else part
            command.append(b"$%d\r\n%b\r\n" % (len(data), data))
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append(reply)
        self._transport.write(b"".join(command))
        return reply

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A stream transport, although uvloop's class is not a subclass of asyncio.Transport.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        while self._waiting:
            reply = self._waiting.popleft()
            if not reply.done():
                reply.set_exception(exc or ConnectionResetError("Redis closed the connection."))

    def data_received(self, data: bytes) -> None:
        received = self._received + data
        while (end := received.find(b"\r\n")) >= 0:
            kind, head = received[:1], received[1:end]
            end += 2
            value: Reply | RedisErrorReply
            if kind == b"$" and head != b"-1":
                start, end = end, end + int(head) + 2
                if len(received) < end:
                    break
                value = received[start : end - 2]
            elif kind == b"-":
                value = RedisErrorReply(head.partition(b" ")[0].decode(errors="replace"))
            elif kind == b":":
                value = int(head)
            else:
                value = None if kind == b"$" else head
            received = received[end:]
            self._resolve(value)
        self._received = received

    def _resolve(self, value: Reply | RedisErrorReply) -> None:
        if not self._waiting:
            self.close()
            return
        reply = self._waiting.popleft()
        if reply.done():
            return
        if isinstance(value, RedisErrorReply):
            reply.set_exception(value)
        else:
            reply.set_result(value)


class UsageStream:
    """The stream of usage events; connects with the first command and again after each failure."""

    def __init__(self, url: str) -> None:
        # redis-py parses the URL, so that it means the same here as elsewhere. This connection is never opened.
        self._target: AbstractConnection = ConnectionPool.from_url(url).make_connection()  # type: ignore[no-untyped-call]
        self._connection: RedisConnection | None = None
        self._connecting = asyncio.Lock()

    async def add(self, lines: Sequence[bytes]) -> None:
        """Append encoded events as one entry and return once Redis has them on disk. Raises RedisUnavailable."""
        await self._call("XADD", STREAM, "*", FIELD, b"\n".join(lines))

    async def ping(self) -> None:
        """Check that Redis replies. Raises RedisUnavailable."""
        await self._call("PING")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _call(self, *parts: str | bytes) -> Reply:
        connection = self._connection
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                if connection is None or connection.closed:
                    connection = await self._connect()
                return await connection.execute(*parts)
        except RedisErrorReply as error:
            raise RedisUnavailable(f"Redis replied with the error {error}.") from None
        except (OSError, TimeoutError) as error:
            # A late reply must not be mistaken for the reply to the next command.
            if connection is not None:
                connection.close()
            raise RedisUnavailable(f"Redis does not reply: {type(error).__name__}.") from error

    async def _connect(self) -> RedisConnection:
        async with self._connecting:
            if self._connection is None or self._connection.closed:
                self._connection = await RedisConnection.open(self._target)
            return self._connection
