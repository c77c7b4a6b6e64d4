"""Plays of the scripted upstream: whole responses, streams, and every way to break them.

Each function here returns a play for `Upstream.script`. The bodies are ordinary OpenAI shapes, made by
`completion` and `chunk`; the plays decide how they travel.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tests.upstream import Play, Wire

Headers = Iterable[tuple[str, str]]
REASONS = {
    200: "OK", 302: "Found", 307: "Temporary Redirect", 400: "Bad Request", 401: "Unauthorized",
    403: "Forbidden", 404: "Not Found", 413: "Content Too Large", 422: "Unprocessable Content",
    429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip


# Bodies


def usage(prompt: int = 11, completion: int = 7, **more: Any) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        **more,
    }


def choice(
    content: str | None = "Hello there.", *, index: int = 0, finish: str | None = "stop", **message: Any
):
    """One choice of a whole answer; more keywords are fields of its message."""
    return {
        "index": index,
        "message": {"role": "assistant", "content": content, **message},
        "logprobs": None,
        "finish_reason": finish,
    }


def completion(
    content: str | None = "Hello there.", *, choices: list | None = None, **more: Any
) -> dict[str, Any]:
    """A whole chat completion; more keywords are top-level fields, None leaves one out."""
    body = {
        "id": "chatcmpl-upstream-1",
        "object": "chat.completion",
        "created": 1790000000,
        "model": "raw-model-of-the-provider",
        "choices": [choice(content)] if choices is None else choices,
        "usage": usage(),
        **more,
    }
    return {key: value for key, value in body.items() if value is not None}


def chunk(
    delta: dict | None = None, *, finish: str | None = None, index: int = 0, **more: Any
) -> dict[str, Any]:
    """One chunk of a stream; more keywords are top-level fields (`choices=[]` for the one with the usage)."""
    return {
        "id": "chatcmpl-upstream-1",
        "object": "chat.completion.chunk",
        "created": 1790000000,
        "model": "raw-model-of-the-provider",
        "choices": [{"index": index, "delta": delta or {}, "logprobs": None, "finish_reason": finish}],
        **more,
    }


def chunks(*texts: str, finish: str = "stop", usage: dict | None = None) -> list[dict[str, Any]]:
    """The chunks of one streamed message: a role, each text, the finish reason and, when given, the usage."""
    events = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": text}) for text in texts)]
    events.append(chunk({}, finish=finish))
    if usage is not None:
        events.append(chunk(choices=[], usage=usage))
    return events


def tool_call(number: int, name: str, arguments: str, identity: str | None = None) -> dict[str, Any]:
    return {
        "id": identity or f"call_upstream_{number}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def error_body(message: str = "the provider's own words", **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "provider_error", "param": None, "code": None, **more}}


# How bytes travel


def head(status: int = 200, headers: Headers = (), content_type: str | None = "application/json") -> bytes:
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Odd')}"]
    if content_type:
        lines.append(f"content-type: {content_type}")
    lines += [f"{key}: {value}" for key, value in headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n"


def encode(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body, ensure_ascii=False).encode()


def event(data: Any, newline: str = "\n") -> bytes:
    """The bytes of one event; a string or bytes are taken as its data as they are."""
    return b"data: " + encode(data) + (newline * 2).encode()


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Data in pieces of `size` bytes, wherever that falls; 0 is one piece."""
    if not size:
        yield data
        return
    for start in range(0, len(data), size):
        yield data[start : start + size]


def framed(data: bytes) -> bytes:
    """One chunk of HTTP's chunked transfer coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


# Plays that are right


def answer(
    body: Any = None, status: int = 200, *, headers: Headers = (),
    content_type: str | None = "application/json", wait: float = 0, split: int = 0, drip: float = 0,
) -> Play:  # fmt: skip
    """A whole answer with a length.

    `wait`: seconds before its first byte; `split` and `drip`: bytes and seconds a piece.
    """
    payload = encode(completion() if body is None else body)

    async def play(wire: Wire) -> None:
        await wire.pause(wait)
        await wire.send(head(status, headers, content_type) + b"content-length: %d\r\n\r\n" % len(payload))
        for piece in pieces(payload, split):
            await wire.send(piece)
            await wire.pause(drip)

    return play


END, CUT, RESET, HOLD = "end", "cut", "reset", "hold"


def stream(
    *events: Any, delay: float = 0, wait: float = 0, split: int = 0, together: bool = False,
    newline: str = "\n", done: bool = True, then: str = END, headers: Headers = (), status: int = 200,
    content_type: str = "text/event-stream", framing: bool = True, raw: bytes = b"",
) -> Play:  # fmt: skip
    """A server-sent stream.

    `events` are bodies of events, or bytes that are sent as they are. `wait` is before the headers, `delay`
    before each event and before the end, in seconds. `split` cuts everything into pieces of so many bytes,
    `together` writes it all at once. `raw` follows the last event (half an event, for one). `then`: how it
    ends: END in order, CUT by closing with the transfer coding unfinished, RESET, or HOLD in silence. Without
    `framing` the end of the body is the end of the connection.
    """
    written = [one if isinstance(one, bytes) else event(one, newline) for one in events]
    if done:
        written.append(event("[DONE]", newline))
    if raw:
        written.append(raw)
    if together:
        written = [b"".join(written)]

    async def play(wire: Wire) -> None:
        frame: Callable[[bytes], bytes] = framed if framing else bytes
        coding = b"transfer-encoding: chunked\r\n\r\n" if framing else b"connection: close\r\n\r\n"
        await wire.pause(wait)
        await wire.send(head(status, headers, content_type) + coding)
        # Only some of the pieces get a moment on the wire, without which they would arrive as one.
        moments = itertools.repeat(0.001, 200 if split else 0)
        for one in written:
            await wire.pause(delay)
            for piece in pieces(one, split):
                await wire.send(frame(piece))
                await wire.pause(next(moments, 0))
        await wire.pause(delay)
        if then == HOLD:
            await wire.hold()
        elif then == RESET:
            wire.reset()
        elif then == CUT or not framing:
            wire.close()
        else:
            await wire.send(b"0\r\n\r\n")

    return play


def endless(text: str = "on and on ", every: float = 0.01) -> Play:
    """A stream without an end."""

    async def play(wire: Wire) -> None:
        await wire.send(head(content_type="text/event-stream") + b"transfer-encoding: chunked\r\n\r\n")
        for number in itertools.count():
            await wire.send(framed(event(chunk({"content": f"{text}{number} "}))))
            await wire.pause(every)

    return play


# Plays that are wrong


def truncated(body: Any = None, missing: int = 20) -> Play:
    """A length that promises `missing` bytes more than come before the connection ends."""
    payload = encode(completion() if body is None else body)

    async def play(wire: Wire) -> None:
        await wire.send(head() + b"content-length: %d\r\n\r\n%b" % (len(payload), payload[:-missing]))
        wire.close()

    return play


def raw(*parts: bytes, then: str = CUT, every: float = 0) -> Play:
    """Exactly these bytes."""

    async def play(wire: Wire) -> None:
        for part in parts:
            await wire.send(part)
            await wire.pause(every)
        if then == HOLD:
            await wire.hold()
        wire.reset() if then == RESET else wire.close()

    return play


def silent() -> Play:
    """Not a byte, and an open connection."""

    async def play(wire: Wire) -> None:
        await wire.hold()

    return play


def headers_then_silence(content_type: str = "text/event-stream") -> Play:
    async def play(wire: Wire) -> None:
        await wire.send(head(content_type=content_type) + b"transfer-encoding: chunked\r\n\r\n")
        await wire.hold()

    return play


def closed() -> Play:
    """The connection ends before any byte."""
    return raw()


def reset() -> Play:
    return raw(then=RESET)


def html(status: int = 200, words: str = "Bad gateway") -> Play:
    page = f"<!doctype html><html><head><title>{words}</title></head><body><h1>{words}</h1></body></html>"
    return answer(page, status, content_type="text/html")


def redirect(to: str, status: int = 302) -> Play:
    return answer(b"", status, headers=[("location", to)], content_type=None)


def closes_when_reused(then: Play) -> Play:
    """Answers the first request on a connection and hangs up on the second before any byte, as a server whose
    keep-alive time has just run out does."""

    async def play(wire: Wire) -> None:
        if wire.reused:
            wire.close()
        else:
            await then(wire)

    return play


def resets_when_reused(then: Play) -> Play:
    async def play(wire: Wire) -> None:
        if wire.reused:
            wire.reset()
        else:
            await then(wire)

    return play


def huge(megabytes: int) -> dict[str, Any]:
    """A whole answer whose message has so many megabytes."""
    return completion("x" * (megabytes << 20))


def bodies_of_errors() -> Sequence[tuple[str, bytes, str]]:
    """Name, body and content type of the ways in which providers word an error."""
    return (
        ("openai", encode(error_body()), "application/json"),
        ("string", b'{"error": "the provider\'s own words"}', "application/json"),
        (
            "detail",
            b'{"detail": [{"loc": [], "msg": "the provider\'s own words"}]}',
            "application/json",
        ),
        ("list", b'[{"error": {"code": 400, "message": "the provider\'s own words"}}]', "application/json"),
        ("message", b'{"message": "the provider\'s own words", "code": 13}', "application/json"),
        ("number-code", encode(error_body(code=400, type=None)), "application/json"),
        ("html", b"<html><body>the provider's own words</body></html>", "text/html"),
        ("text", b"the provider's own words", "text/plain"),
        ("garbage", bytes(range(128, 256)), "application/octet-stream"),
        ("half", b'{"error": {"message": "the provider\'s ow', "application/json"),
        ("empty", b"", "application/json"),
    )
