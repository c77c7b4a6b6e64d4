"""Every route except chat: what clients get when the provider fails, and what happens to it when they disconnect."""

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests import answers, factories
from tests.answers import answer
from tests.e2e.routes import CALLING, CAPABILITIES, Route
from tests.wire import PLAIN, RawClient, envelope

EXCEPT_CHAT = [route for route in CALLING if route.path != "/chat/completions"]
EACH = pytest.mark.parametrize("route", EXCEPT_CHAT, ids=str)


def ask(http: httpx.Client, route: Route) -> httpx.Response:
    return http.request(route.method, route.path, **route.request)


@EACH
def test_provider_status_is_mapped(upstream, studio, studio_http, route):
    expected = {
        400: 400,
        413: 400,
        422: 400,
        401: 502,
        403: 502,
        404: 502,
        500: 502,
        503: 502,
        302: 502,
        504: 504,
    }
    wordings = answers.bodies_of_errors()
    cases = [(status, wordings[0]) for status in expected] + [(400, wording) for wording in wordings]
    for status, (_, body, kind) in cases:
        upstream.script(studio.raw, answer(body, status, content_type=kind))
        response = ask(studio_http, route)
        envelope(response, expected[status])
        assert "own words" not in response.text
        assert len(upstream.received(studio.raw)) == 1


@EACH
def test_rate_limit_of_the_provider_has_retry_after(upstream, studio, studio_http, route):
    upstream.script(studio.raw, answer(answers.error_body(), 429, headers=[("retry-after", "7")]))
    response = ask(studio_http, route)
    envelope(response, 429, "rate_limit_exceeded")
    assert response.headers["retry-after"] == "7"


@EACH
def test_refusal_names_only_parameters_that_the_client_sent(upstream, studio, studio_http, route):
    given = "file" if "audio/trans" in route.path else next(
        name for name in ("input", "prompt", "image", "query") if name in str(route.request)
    )  # fmt: skip
    for param, said in ((given, given), (f"{given}[0].x", given), ("x_internal", None)):
        upstream.script(studio.raw, answer(answers.error_body(param=param, code="own_code"), 400))
        assert envelope(ask(studio_http, route), 400, "invalid_value")["param"] == said
    upstream.script(studio.raw, answer(answers.error_body(code="moderation_blocked"), 400))
    envelope(ask(studio_http, route), 400, "content_filter")
    upstream.script(studio.raw, answer(answers.error_body(code="context_length_exceeded"), 400))
    envelope(ask(studio_http, route), 400, "context_length_exceeded")


NONSENSE = {
    "html": answers.html(200),
    "empty": answer(b"", content_type=None),
    "no-json": answer(b"not json"),
    "half-json": answer(b'{"data": [', content_type="application/json"),
    "list": answer(b"[]"),
    "text": answer(b'"a string"'),
    "null": answer(b"null"),
    "object": answer(b"{}"),
    "error": answer(answers.error_body()),
    "deep": answer(b"[" * 5000),
    "truncated": answers.truncated(),
    "closed": answers.closed(),
    "reset": answers.reset(),
    "half-head": answers.raw(b"HTTP/1.1 200 OK\r\ncontent-type: appl"),
    "no-http": answers.raw(b"\x00\xff\xfe garbage that is not HTTP\r\n\r\n"),
    "bad-length": answers.raw(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n{}"),
    "no-events": answers.stream(done=False),
    "done-alone": answers.stream(),
    "event-error": answers.stream(answers.error_body()),
    "event-half": answers.stream(raw=b"data: {", done=False),
}


@EACH
def test_malformed_provider_response_is_502(upstream, studio, studio_http, route):
    for what, play in NONSENSE.items():
        upstream.script(studio.raw, play)
        upstream.hang_up_idle()
        time.sleep(0.02)
        response = ask(studio_http, route)
        assert response.status_code == 502, what
        envelope(response, 502, "upstream_error")
        assert len(upstream.received(studio.raw)) == 1


@pytest.fixture(scope="module")
def impatient(upstream, database) -> factories.World:
    """A tenant whose provider has little time, whole or streamed."""
    return factories.world(
        upstream.base_url,
        capabilities=CAPABILITIES,
        first_byte_timeout=0.3,
        total_timeout=0.3,
        connect_timeout=1,
    )


@EACH
def test_silent_provider_is_504_and_its_connection_is_closed(gateway, upstream, impatient, route):
    for play in (answers.silent(), answers.headers_then_silence("text/event-stream")):
        upstream.script(impatient.raw, play)
        response = PLAIN.request(
            route.method, gateway.base_url + route.path, headers=impatient.authorization, **route.request
        )
        # Events in place of a whole response are an error, which is seen at once.
        assert response.status_code in (502, 504)
        envelope(response, response.status_code)
        assert upstream.last(impatient.raw).closed_within(1)


@EACH
def test_redirect_is_not_followed(upstream, studio, studio_http, route):
    elsewhere = factories.unique("/elsewhere")
    upstream.script(elsewhere, answer())
    upstream.script(studio.raw, answers.redirect(f"http://127.0.0.1:{upstream.port}{elsewhere}", 307))
    envelope(ask(studio_http, route), 502, "upstream_error")
    assert upstream.received(elsewhere) == []


@EACH
def test_provider_error_is_recorded_for_the_operator_only(upstream, studio, studio_http, record, route):
    upstream.script(studio.raw, answer(answers.error_body(), 500))
    response = ask(studio_http, route)
    assert "own words" not in response.text
    row = record(response.headers["x-request-id"])
    assert (row.status, row.error_code, row.route, row.model) == (502, "upstream_error", route.path, "fast")
    assert "own words" in row.error_detail
    assert (row.input_tokens, row.images, row.audio_ms) == (0, 0, 0)


def raw_request(port: int, route: Route, authorization: str) -> tuple[RawClient, bytes]:
    """A client on a bare socket, and the bytes of a request."""
    url = f"http://127.0.0.1:{port}/api/tenant{route.path}"
    request = PLAIN.build_request(
        route.method, url, headers={"authorization": authorization}, **route.request
    )
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    head = f"{request.method} {urlsplit(url).path} HTTP/1.1\r\n{lines}\r\n".encode()
    return RawClient(port, authorization), head + request.read()


@pytest.fixture
def leaver(gateway, studio) -> Iterator:
    clients = []

    def begin(route: Route) -> RawClient:
        client, request = raw_request(gateway.port, route, studio.authorization["authorization"])
        clients.append(client)
        client.socket.sendall(request)
        return client

    yield begin
    for client in clients:
        client.socket.close()


@EACH
@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_disconnect_closes_the_provider_connection_at_every_stage(
    upstream, studio, leaver, route, how
):
    kind = "text/event-stream" if route.how == "stream" else "application/json"
    for play in (
        answers.silent(),
        answers.headers_then_silence(kind),
        answer(split=5, drip=0.05, content_type=kind),
    ):
        upstream.script(studio.raw, play)
        client = leaver(route)
        upstream.wait_for(studio.raw)
        time.sleep(0.05)
        client.leave(how)
        assert upstream.last(studio.raw).closed_within(1)


@EACH
def test_client_disconnect_within_the_request_calls_no_provider(
    gateway, upstream, studio, studio_http, route
):
    assert route.play is not None
    upstream.script(studio.raw, route.play)
    client, request = raw_request(gateway.port, route, studio.authorization["authorization"])
    client.socket.sendall(request[:-5])
    time.sleep(0.05)
    client.leave()
    assert ask(studio_http, route).status_code == 200
    assert len(upstream.received(studio.raw)) == 1
