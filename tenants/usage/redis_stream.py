"""The Redis stream in which usage records wait for the drain, written over a connection of its own.

redis-py takes 80 us of CPU and more for one command, a good part of what a whole request costs. One command out
and one short reply in is all that is needed here, so this speaks that much of the protocol by itself.
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
#: Where the drain puts what it cannot read.
DEAD_LETTERS = "gtapi:usage:dead"
#: The field of a stream's entry that holds the records, one a line.
FIELD = "records"
#: Seconds in which Redis has to answer; after them it counts as away.
ANSWER_SECONDS = 1.0

Reply = bytes | int | None


class StreamAway(Exception):
    """Redis cannot be reached, does not answer or refuses. What was sent may have arrived all the same."""


class Refusal(Exception):
    """Redis answered with an error; only its code is kept."""


class Connection(asyncio.Protocol):
    """One connection to Redis: commands go out as they are given, replies come back in that order."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[asyncio.Future[Reply]] = deque()
        self._received = b""

    @classmethod
    async def open(cls, target: AbstractConnection) -> "Connection":
        """Connect to where a connection of redis-py would, and log in. Raises OSError or Refusal."""
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
        """Send one command; the future brings the reply. It may bring OSError or Refusal instead."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection to Redis is closed")
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
        # A socket's transport, though uvloop's is no subclass.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        while self._waiting:
            reply = self._waiting.popleft()
            if not reply.done():
                reply.set_exception(exc or ConnectionResetError("Redis closed the connection"))

    def data_received(self, data: bytes) -> None:
        received = self._received + data
        while (end := received.find(b"\r\n")) >= 0:
            kind, head = received[:1], received[1:end]
            end += 2
            value: Reply | Refusal
            if kind == b"$" and head != b"-1":
                start, end = end, end + int(head) + 2
                if len(received) < end:
                    break
                value = received[start : end - 2]
            elif kind == b"-":
                value = Refusal(head.partition(b" ")[0].decode(errors="replace"))
            elif kind == b":":
                value = int(head)
            else:
                value = None if kind == b"$" else head
            received = received[end:]
            self._answer(value)
        self._received = received

    def _answer(self, value: Reply | Refusal) -> None:
        if not self._waiting:
            self.close()
            return
        reply = self._waiting.popleft()
        if reply.done():
            return
        if isinstance(value, Refusal):
            reply.set_exception(value)
        else:
            reply.set_result(value)


class Stream:
    """The stream as the ledger sees it: connected when it is first needed, and again after every fault."""

    def __init__(self, url: str) -> None:
        # redis-py reads the URL, so that it means here what it means everywhere else. This one never connects.
        self._target: AbstractConnection = ConnectionPool.from_url(url).make_connection()  # type: ignore[no-untyped-call]
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()

    async def add(self, lines: Sequence[bytes]) -> None:
        """Append packed records as one entry; returns once Redis has them on disk. Raises StreamAway."""
        await self._call("XADD", STREAM, "*", FIELD, b"\n".join(lines))

    async def ping(self) -> None:
        """Ask whether Redis answers. Raises StreamAway."""
        await self._call("PING")

    async def length(self) -> int:
        """Return how many entries wait for the drain. Raises StreamAway."""
        reply = await self._call("XLEN", STREAM)
        return reply if isinstance(reply, int) else 0

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _call(self, *parts: str | bytes) -> Reply:
        connection = self._connection
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if connection is None or connection.closed:
                    connection = await self._connect()
                return await connection.execute(*parts)
        except Refusal as refusal:
            raise StreamAway(f"Redis refuses: {refusal}") from None
        except (OSError, TimeoutError) as error:
            # A late reply must not be taken for that of the next command.
            if connection is not None:
                connection.close()
            raise StreamAway(f"Redis does not answer: {type(error).__name__}") from error

    async def _connect(self) -> Connection:
        async with self._connecting:
            if self._connection is None or self._connection.closed:
                self._connection = await Connection.open(self._target)
            return self._connection
