"""Reading what the gateway says, byte for byte, where an SDK would hide too much."""

import json
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

import httpx

#: A client without a credential. One for all, since to make one costs tens of milliseconds.
PLAIN = httpx.Client(timeout=30, verify=False)
#: Where every route is served.
BASES = ("/api/tenant", "/api/tenant/v1")
MESSAGES = [{"role": "user", "content": "Hello"}]


def chat(model: str, **more: Any) -> dict[str, Any]:
    """The body of an ordinary chat request."""
    return {"model": model, "messages": MESSAGES, **more}


def envelope(response: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """The error of an answer that has to be one: the right status, all four keys, a request id."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"].startswith("req_")
    body = response.json()
    assert list(body) == ["error"]
    error = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["type"], str)
    if code is not None:
        assert error["code"] == code, error
    return error


def events(text: str) -> list[Any]:
    """The data of each event of a stream, parsed; "[DONE]" stays text. Every frame has to be a whole one."""
    assert text.endswith("\n\n"), text[-200:]
    found: list[Any] = []
    for frame in text.removesuffix("\n\n").split("\n\n"):
        if frame.startswith(":"):
            assert "\n" not in frame, frame
            continue
        assert frame.startswith("data: "), frame
        data = frame.removeprefix("data: ")
        found.append(data if data == "[DONE]" else json.loads(data))
    return found


def content(stream: list[Any]) -> str:
    """The text that a stream's first choice says."""
    return "".join(
        choice["delta"].get("content") or ""
        for event in stream
        if event != "[DONE]" and "error" not in event
        for choice in event["choices"]
        if choice["index"] == 0
    )


@dataclass
class RawClient:
    """A client on a bare socket, which can leave at any moment and read as little as it likes."""

    port: int
    authorization: str

    def __post_init__(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def head(
        self, length: int, path: str = "/api/tenant/v1/chat/completions", kind: str = "application/json"
    ) -> bytes:
        return (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\nauthorization: {self.authorization}\r\n"
            f"content-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
        ).encode()

    def post(self, body: dict[str, Any], path: str = "/api/tenant/v1/chat/completions") -> None:
        data = json.dumps(body).encode()
        self.socket.sendall(self.head(len(data), path) + data)

    def read_until(self, mark: bytes, seconds: float = 5) -> bytes:
        """What comes until `mark` has been seen; AssertionError when it does not come."""
        got = b""
        deadline = time.monotonic() + seconds
        while mark not in got:
            assert time.monotonic() < deadline, got[-500:]
            part = self.socket.recv(65536)
            assert part, got[-500:]
            got += part
        return got

    def leave(self, how: str = "close") -> None:
        """Go: in order ("close"), by a reset ("reset"), or by ending the sending side alone ("half")."""
        if how == "half":
            self.socket.shutdown(socket.SHUT_WR)
            return
        if how == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
