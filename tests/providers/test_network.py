"""What every adapter with a network has to survive: broken HTTP, dying connections, redirects and cookies."""

import asyncio
import socket
from collections.abc import Callable

import pytest

from gtapi.errors import APIError, UpstreamFailed
from inference.providers import ADAPTERS
from tests import answers, factories
from tests.answers import answer
from tests.providers.calls import BOTH, failure
from tests.providers.script import CREDENTIAL, Behaviour
from tests.upstream import Play, Wire

KINDS = [kind for kind, adapter in ADAPTERS.items() if adapter.has_network]
pytestmark = pytest.mark.parametrize("kind", KINDS)
BROKEN = {
    "html": answers.html(200),
    "empty": answer(b"", content_type=None),
    "not-json": answer(b"not json"),
    "half-json": answer(b'{"choices": [', content_type="application/json"),
    "list": answer(b"[]"),
    "string": answer(b'"a string"'),
    "null": answer(b"null"),
    "object": answer(b"{}"),
    "binary": answer(bytes(range(256)), content_type="application/octet-stream"),
    "deep": answer(b"[" * 5000),
    "truncated": answers.truncated(),
    "closed": answers.closed(),
    "reset": answers.reset(),
    "half-status": answers.raw(b"HTTP/1.1 "),
    "half-head": answers.raw(b"HTTP/1.1 200 OK\r\ncontent-type: appl"),
    "not-http": answers.raw(b"\x00\xff\xfe garbage that is not HTTP\r\n\r\n"),
    "bad-length": answers.raw(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n{}"),
    "bad-chunk": answers.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
    "huge-header": answers.raw(b"HTTP/1.1 200 OK\r\n" + b"x-long: " + b"y" * 1_000_000 + b"\r\n\r\n{}"),
    "unknown-encoding": answer(b"{}", headers=[("content-encoding", "br")]),
    "not-gzip": answer(b"{}", headers=[("content-encoding", "gzip")]),
}


@pytest.fixture(scope="session", autouse=True)
def database() -> None:
    """No database: adapters know nothing of it."""


def good(subject, *, streamed: bool) -> Play:
    """A play that gives a good response."""
    behaviour = (
        subject.script.streamed(subject.streamed_operation)
        if streamed
        else subject.script.whole(subject.operation)
    )
    return behaviour.play


async def call(subject, *, streamed: bool, **more) -> None:
    """A call that has to succeed."""
    if streamed:
        assert await subject.consume(subject.streamed_operation, **more)
    else:
        assert await subject.fetch(subject.operation, **more)


@BOTH
@pytest.mark.parametrize("play", BROKEN.values(), ids=BROKEN.keys())
async def test_malformed_response_is_a_502_after_one_request(subject, play, streamed):
    subject.behave(Behaviour(play))
    assert type(await failure(subject, streamed=streamed)) is UpstreamFailed
    assert len(subject.received()) == 1


@BOTH
@pytest.mark.parametrize("body", answers.bodies_of_errors(), ids=lambda body: body[0])
@pytest.mark.parametrize(("status", "expected"), [(400, 400), (401, 502), (418, 502), (429, 429), (500, 502)])
async def test_error_in_any_wording_is_mapped_by_its_status(subject, body, status, expected, streamed):
    _, data, content_type = body
    subject.behave(Behaviour(answer(data, status, content_type=content_type)))
    assert (await failure(subject, streamed=streamed)).status == expected


@BOTH
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(subject, status, streamed):
    elsewhere = factories.unique("/elsewhere")
    subject.upstream.script(elsewhere, answer())
    subject.behave(
        Behaviour(answers.redirect(f"http://127.0.0.1:{subject.upstream.port}{elsewhere}", status))
    )
    assert type(await failure(subject, streamed=streamed)) is UpstreamFailed
    assert subject.upstream.received(elsewhere) == []


class _WithHeader:
    """A wire that adds a header to the response."""

    def __init__(self, wire: Wire, line: bytes) -> None:
        self._wire, self._line = wire, line

    def __getattr__(self, name: str):
        return getattr(self._wire, name)

    async def send(self, data: bytes) -> None:
        if data.startswith(b"HTTP/"):
            status, _, rest = data.partition(b"\r\n")
            data = b"\r\n".join([status, self._line, rest])
        await self._wire.send(data)


@BOTH
async def test_cookies_are_not_sent_back(subject, streamed):
    play = good(subject, streamed=streamed)

    async def with_cookie(wire: Wire) -> None:
        await play(_WithHeader(wire, b"set-cookie: session=1; path=/"))

    subject.behave(Behaviour(with_cookie))
    for _ in range(3):
        await call(subject, streamed=streamed)
    assert [request.header("cookie") for request in subject.received()] == [None] * 3


@BOTH
@pytest.mark.parametrize("dying", [answers.closes_when_reused, answers.resets_when_reused])
async def test_pooled_connection_that_died_is_replaced(subject, dying: Callable[[Play], Play], streamed):
    subject.behave(Behaviour(dying(good(subject, streamed=streamed))))
    for _ in range(6):
        await call(subject, streamed=streamed)
        await asyncio.sleep(0.01)


@BOTH
async def test_request_that_reached_the_provider_is_not_repeated(subject, streamed):
    subject.behave(Behaviour(answers.closed()), Behaviour(good(subject, streamed=streamed)))
    await failure(subject, streamed=streamed)
    assert len(subject.received()) == 1


@BOTH
async def test_provider_that_does_not_listen_is_a_502(subject, streamed):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = await failure(subject, streamed=streamed, base_url=f"http://127.0.0.1:{port}/v1")
    assert type(error) is UpstreamFailed


async def test_credentials_and_operator_headers_are_sent(subject):
    subject.behave(subject.script.whole(subject.operation))
    await subject.fetch(subject.operation)
    (request,) = subject.received()
    assert any(CREDENTIAL in value for _, value in request.headers)
    assert request.header("x-operator") == f"{CREDENTIAL}-header"


@pytest.mark.parametrize(
    "play",
    [
        answer(answers.error_body(f"echo {CREDENTIAL}"), 401),
        answer("<html>", content_type="text/html"),
        answer({"data": 7}),
        answers.closed(),
    ],
    ids=["refused", "html", "nonsense", "closed"],
)
async def test_connection_test_reports_a_fault_without_credentials(subject, play):
    subject.upstream.script("/v1/models", play)
    result = await asyncio.to_thread(subject.adapter.check_connection, subject.connection())
    assert not result.ok
    assert result.message.startswith("main")
    assert CREDENTIAL not in result.message


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v1", "http://does-not-exist.invalid/v1"])
async def test_connection_test_of_an_unreachable_provider_does_not_raise(subject, url):
    result = await asyncio.to_thread(subject.adapter.check_connection, subject.connection(base_url=url))
    assert not result.ok
    assert isinstance(result.message, str)
    assert not isinstance(result, APIError)
