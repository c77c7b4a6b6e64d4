"""A provider that does what a test scripts, over a real socket.

It speaks HTTP/1.1 by hand so that it can break the protocol at any byte. A test scripts what the next
requests for one raw model get, and reads afterwards what arrived::

    upstream.script("raw-x", answer(completion("Hello")))
    ...
    assert upstream.last("raw-x").json["messages"] == [...]

The last answer scripted for a name repeats. A request is looked up by the `model` of its body, then by
its path (`"/v1/models"`), and gets a 404 when neither is scripted. The server runs on a separate thread;
everything public here may be called from any other thread.
"""

import asyncio
import contextlib
import email
import email.policy
import itertools
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

#: What a script consists of: one coroutine function per request.
Play = Callable[["Wire"], Awaitable[None]]


@dataclass
class Part:
    """One part of a form; a field has no file name."""

    name: str
    filename: str | None
    content_type: str
    data: bytes


def parts_of(content_type: str, body: bytes) -> list[Part]:
    """The parts of a form, read by the standard library's parser of mail."""
    mail = b"content-type: %s\r\n\r\n%b" % (content_type.encode(), body)
    message = email.message_from_bytes(mail, policy=email.policy.HTTP)
    return [
        Part(
            str(part.get_param("name", header="content-disposition")),
            part.get_filename(),
            part.get_content_type(),
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    ]


@dataclass
class Received:
    """One request as it arrived; `closed` is set once the peer has left while (or after) it was answered."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int
    arrived: float = field(default_factory=time.monotonic)
    #: The peer ended the connection before our answer was complete, or after it.
    closed: threading.Event = field(default_factory=threading.Event)
    closed_at: float | None = None
    #: The scripted answer was sent to its end.
    answered: threading.Event = field(default_factory=threading.Event)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> list[Part]:
        """The parts of a form, in their order."""
        return parts_of(self.header("content-type") or "", self.body)

    def fields(self, name: str) -> list[str]:
        """The values of a form's fields of that name."""
        return [part.data.decode() for part in self.form if part.name == name and part.filename is None]

    def header(self, name: str) -> str | None:
        """The value of a header, None when it is absent; names are compared without case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def closed_within(self, seconds: float) -> bool:
        """Whether the peer closed the connection within so many seconds from now."""
        return self.closed.wait(seconds)


class Wire:
    """The side of one request that answers: what a script writes on."""

    def __init__(self, protocol: "_Protocol", received: Received, *, reused: bool) -> None:
        self.received = received
        self.reused = reused
        self._protocol = protocol

    async def send(self, data: bytes) -> None:
        """Write, and wait until the socket takes more, as a server with flow control does."""
        self._protocol.transport.write(data)
        await self._protocol.writable.wait()

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def hold(self) -> None:
        """Send nothing more until the peer disconnects."""
        await asyncio.Event().wait()

    def close(self) -> None:
        """End the connection in order, after what has been written."""
        self._protocol.hang_up()

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        self._protocol.slam()


class Upstream:
    """A scripted provider on a free port of the loopback."""

    def __init__(self) -> None:
        self._scripts: dict[str, list[Play]] = {}
        self._received: dict[str, list[Received]] = {}
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._numbers = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="scripted-upstream", daemon=True)
        self._protocols: set[_Protocol] = set()
        self._early: dict[str, Play] = {}
        self.accepted = 0
        self.port = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> "Upstream":
        self._thread.start()
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = listener.getsockname()[1]
        self._server = self._call(self._serve(listener))
        return self

    def stop(self) -> None:
        self._call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def script(self, name: str, *plays: Play) -> None:
        """Set what requests for a raw model id (or a path) get, in order; the last one repeats.

        Without any play they get a 404, and are recorded.
        """
        with self._lock:
            self._scripts[name] = list(plays)
            self._received[name] = []

    @contextlib.contextmanager
    def early(self, path: str, play: Play) -> Iterator[None]:
        """Answer requests for a path as soon as their headers are there; of their bodies little is ever read.

        They are recorded under the path. Their connections are of no use afterwards, so an answer has to say
        that it closes.
        """
        self.script(path)
        self._early[path] = play
        try:
            yield
        finally:
            del self._early[path]
            with self._lock:
                del self._scripts[path]

    @property
    def any_early(self) -> bool:
        return bool(self._early)

    def early_play(self, received: Received) -> Play | None:
        """The play for a request whose headers have just come, which is recorded; mostly there is none."""
        play = self._early.get(received.path)
        if play is not None:
            with self._news:
                self._received[received.path].append(received)
                self._news.notify_all()
        return play

    def received(self, name: str) -> list[Received]:
        """The requests for a name since it was last scripted, oldest first."""
        with self._lock:
            return list(self._received.get(name, []))

    def last(self, name: str) -> Received:
        return self.received(name)[-1]

    def wait_for(self, name: str, count: int = 1, seconds: float = 5) -> list[Received]:
        """The requests for a name, once there are `count` of them; raises TimeoutError."""
        with self._news:
            if not self._news.wait_for(lambda: len(self._received.get(name, [])) >= count, seconds):
                raise TimeoutError(f"{name}: {len(self._received.get(name, []))} of {count} requests came")
            return list(self._received[name])

    def hang_up_idle(self) -> None:
        """Close every connection without a request under way, as a server does in the end."""

        async def close() -> None:
            for protocol in list(self._protocols):
                if not protocol.busy:
                    protocol.hang_up()

        self._call(close())

    def take(self, received: Received) -> Play:
        """The play for a request that has just arrived, which is recorded."""
        if early := self.early_play(received):
            return early
        with self._news:
            name = _model_of(received.body)
            if name not in self._scripts:
                name = received.path.partition("?")[0]
            plays = self._scripts.get(name)
            if plays is None:
                return _unscripted
            self._received[name].append(received)
            self._news.notify_all()
            if not plays:
                return _unscripted
            return plays.pop(0) if len(plays) > 1 else plays[0]

    def enter(self, protocol: "_Protocol") -> int:
        self._protocols.add(protocol)
        self.accepted += 1
        return next(self._numbers)

    def leave(self, protocol: "_Protocol") -> None:
        self._protocols.discard(protocol)

    async def _serve(self, listener: socket.socket) -> asyncio.Server:
        return await self._loop.create_server(lambda: _Protocol(self), sock=listener)

    async def _shut(self) -> None:
        self._server.close()
        for protocol in list(self._protocols):
            protocol.slam()
        await asyncio.sleep(0)
        running = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)


class _Protocol(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.writable = asyncio.Event()
        self.writable.set()
        self.buffer = bytearray()
        self.requests: list[Received] = []
        self.task: asyncio.Task[None] | None = None
        self.ours = False
        self.sipping = False

    @property
    def busy(self) -> bool:
        return self.task is not None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.number = self.upstream.enter(self)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        if self.sipping:
            # Reads enough for the sender to notice, and too little to reach the end soon.
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(0.02, self._sip)
            return
        self.buffer += data
        self._next()

    def _sip(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        self._peer_left()
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.ours:
            self._peer_left()
        self.writable.set()
        if self.task:
            self.task.cancel()
        self.upstream.leave(self)

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def hang_up(self) -> None:
        self.ours = True
        self.transport.close()

    def slam(self) -> None:
        self.ours = True
        with contextlib.suppress(OSError):
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()

    def _peer_left(self) -> None:
        for received in self.requests:
            if received.closed_at is None:
                received.closed_at = time.monotonic()
                received.closed.set()

    def _next(self) -> None:
        """Start to answer the next complete request in the buffer, unless one is being answered."""
        if self.task or self.sipping or self.transport.is_closing():
            return
        parsed = _parse(self.buffer)
        if parsed is None:
            self._answer_early()
            return
        method, path, headers, body, self.buffer = parsed
        received = Received(method, path, headers, body, self.number)
        self.requests.append(received)
        play = self.upstream.take(received)
        self.task = asyncio.ensure_future(self._answer(play, received))

    def _answer_early(self) -> None:
        if self.upstream.any_early and (head := _head(self.buffer)) is not None:
            received = Received(*head[:3], b"", self.number)
            if play := self.upstream.early_play(received):
                self.sipping = True
                self.requests.append(received)
                self.task = asyncio.ensure_future(self._answer(play, received))

    async def _answer(self, play: Play, received: Received) -> None:
        await play(Wire(self, received, reused=len(self.requests) > 1))
        received.answered.set()
        self.task = None
        self._next()


async def _unscripted(wire: Wire) -> None:
    body = b'{"error": {"message": "the test scripted nothing for this"}}'
    await wire.send(
        b"HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
        % (len(body), body)
    )


def _model_of(body: bytes) -> str:
    if form := re.search(rb'name="model"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]+)', body):
        return form[1].decode()
    try:
        parsed = json.loads(body)
    except ValueError:
        return ""
    return parsed.get("model", "") if isinstance(parsed, dict) else ""


def _head(data: bytearray) -> tuple[str, str, list[tuple[str, str]], int] | None:
    """Method, path, headers and where the body begins; None while they are not complete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    method, path, _version = first.split(" ", 2)
    headers = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)]
    return method, path, headers, end + 4


def _parse(data: bytearray) -> tuple[str, str, list[tuple[str, str]], bytes, bytearray] | None:
    """Method, path, headers, body and the rest of the buffer; None while the request is not complete."""
    if (head := _head(data)) is None:
        return None
    method, path, headers, begin = head
    known = {key.lower(): value for key, value in headers}
    if "chunked" in known.get("transfer-encoding", ""):
        unchunked = _unchunk(bytes(data[begin:]))
        return None if unchunked is None else (method, path, headers, unchunked[0], bytearray(unchunked[1]))
    end = begin + int(known.get("content-length", 0))
    if len(data) < end:
        return None
    return method, path, headers, bytes(data[begin:end]), data[end:]


def _unchunk(data: bytes) -> tuple[bytes, bytes] | None:
    body = b""
    while True:
        size_line, found, data = data.partition(b"\r\n")
        if not found:
            return None
        size = int(size_line.partition(b";")[0], 16)
        if len(data) < size + 2:
            return None
        body += data[:size]
        data = data[size + 2 :]
        if size == 0:
            return body, data
