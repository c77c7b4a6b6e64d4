"""Bad input gets the right status and envelope, calls no provider and changes nothing."""

import contextlib
import json
import socket

import httpx
import pytest

from tenants.models import Tenant
from tests.wire import BASES, MESSAGES, PLAIN, chat, envelope

USER = {"role": "user", "content": "Hello"}


@pytest.fixture
def refused(http, upstream, world):
    """Posts to the chat route; the provider must not hear of it."""

    def post(body, status=400, code=None, headers=None):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        headers = {"content-type": "application/json"} if headers is None else headers
        for base in BASES:
            response = http.post(f"{str(http.base_url).partition('/api')[0]}{base}/chat/completions",
                                 content=body, headers=headers)  # fmt: skip
            error = envelope(response, status, code)
        assert upstream.received(world.raw) == []
        return error

    return post


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"{",
        b'{"model": "fast", "messages": [}',
        b"{'model': 'fast'}",
        b'{"model": NaN}',
        b"\xff\xfe{}",
        b'{"model": "\xc3"}',
        b"\xef\xbb\xbf{}",
        b'{"model": "fast"} trailing',
        b'{"model": "\x00"}',
        b'{"model": "\\ud800"}',
        b"[]",
        b'"text"',
        b"null",
        b"1",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"model": "fast", "messages": ' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"model": "fast", "messages": [], "x": ' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_body_that_is_not_a_json_object_is_refused(refused, body):
    refused(body, 400, "invalid_json")


def test_a_body_over_the_limit_is_refused_and_the_limit_is_named(start_gateway, upstream, world):
    gateway = start_gateway(MAX_BODY_BYTES="2000")
    url = f"{gateway.base_url}/chat/completions"
    big = chat("fast", padding="x" * 2000)
    for sending in ({"json": big}, {"content": iter([json.dumps(big).encode()])}):
        response = PLAIN.post(url, headers=world.authorization, **sending)
        assert "2,000" in envelope(response, 413, "request_too_large")["message"]
    assert upstream.received(world.raw) == []
    assert PLAIN.post(url, headers=world.authorization, json=chat("fast")).status_code == 200


def test_a_body_that_says_it_is_larger_than_the_limit_is_refused_at_once(gateway, world):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        head = (
            f"POST /api/tenant/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {1 << 40}\r\n"
            f"content-type: application/json\r\nauthorization: Bearer {world.key.plain}\r\n\r\n{{"
        )
        client.sendall(head.encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": MESSAGES}, "model"),
        ({"model": "fast"}, "messages"),
        (chat(None), "model"),
        (chat(3), "model"),
        (chat(["fast"]), "model"),
        (chat(""), "model"),
        ({"model": "fast", "messages": None}, "messages"),
        ({"model": "fast", "messages": []}, "messages"),
        ({"model": "fast", "messages": "Hello"}, "messages"),
        ({"model": "fast", "messages": {"role": "user"}}, "messages"),
        ({"model": "fast", "messages": ["Hello"]}, "messages"),
        ({"model": "fast", "messages": [None]}, "messages"),
        ({"model": "fast", "messages": [{}]}, "messages"),
        ({"model": "fast", "messages": [{"content": "Hello"}]}, "messages"),
        ({"model": "fast", "messages": [{"role": "king", "content": "Hello"}]}, "messages"),
        ({"model": "fast", "messages": [{"role": 1, "content": "Hello"}]}, "messages"),
        ({"model": "fast", "messages": [{"role": "user", "content": 5}]}, "messages"),
        ({"model": "fast", "messages": [{"role": "user", "content": {"type": "text"}}]}, "messages"),
        ({"model": "fast", "messages": [{"role": "user", "content": [5]}]}, "messages"),
        ({"model": "fast", "messages": [USER, {"role": "user"}]}, "messages"),
        (chat("fast", stream="yes"), "stream"),
        (chat("fast", stream=1), "stream"),
        (chat("fast", stream=True, stream_options=5), "stream_options"),
        (chat("fast", stream=True, stream_options={"include_usage": "x"}), "stream_options"),
        (chat("fast", temperature="hot"), "temperature"),
        (chat("fast", temperature=3), "temperature"),
        (chat("fast", temperature=-1), "temperature"),
        (chat("fast", top_p=1.5), "top_p"),
        (chat("fast", max_tokens="many"), "max_tokens"),
        (chat("fast", max_tokens=-1), "max_tokens"),
        (chat("fast", max_completion_tokens=1.5), "max_completion_tokens"),
        (chat("fast", n=0), "n"),
        (chat("fast", n=129), "n"),
        (chat("fast", n="2"), "n"),
        (chat("fast", tools={}), "tools"),
        (chat("fast", tools=[5]), "tools"),
        (chat("fast", stop=5), "stop"),
        (chat("fast", logprobs="yes"), "logprobs"),
        (chat("fast", seed="x"), "seed"),
        (chat("fast", response_format="json"), "response_format"),
    ],
    ids=lambda value: value if isinstance(value, str) else json.dumps(value)[:70],
)
def test_a_bad_parameter_is_named(refused, body, param):
    error = refused(body)
    assert error["type"] == "invalid_request_error"
    assert (error["param"] or "").partition("[")[0].partition(".")[0] == param, error
    assert error["message"]


@pytest.mark.parametrize(
    "body",
    [
        chat("fast\0"),
        {"model": "fast", "messages": [{"role": "user", "content": "a\0b"}]},
        chat("fast", user="\0"),
        chat("fast", **{"k\0": 1}),
    ],
    ids=lambda body: json.dumps(body)[:60],
)
def test_a_nul_is_refused(refused, body):
    refused(body)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_a_wrong_content_type_is_refused(refused, kind):
    refused(chat("fast"), 415, "unsupported_media_type", headers={"content-type": kind})


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/Json"])
def test_every_spelling_of_the_right_content_type_is_taken(http, kind):
    response = http.post(
        "/chat/completions", content=json.dumps(chat("fast")), headers={"content-type": kind}
    )
    assert response.status_code == 200


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/chat/completions"),
        ("DELETE", "/chat/completions"),
        ("PUT", "/chat/completions"),
        ("POST", "/models"),
        ("PATCH", "/models"),
        ("DELETE", "/models/fast"),
        ("TRACE", "/models"),
        ("PROPFIND", "/models"),
    ],
)
def test_a_wrong_method_is_refused(http, gateway, base, method, path):
    response = http.request(method, gateway.url + base + path)
    envelope(response, 405, "method_not_allowed")
    assert response.headers["allow"]


def test_unknown_http_method_is_refused(http):
    envelope(http.request("BREW", "/models"), 400)


@pytest.mark.parametrize("authorized", [True, False])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "/api/tenant",
        "/api/tenant/",
        "/api/tenant/v1",
        "/api/tenant/v1/",
        "/api/tenant/models/",
        "/api/tenant/v1/chat/completions/",
        "/api/tenant/v2/models",
        "/api/tenant/v1/v1/models",
        "/api/tenant/nothing",
        "/api/tenant/v1/chat",
        "/api/tenant/%00",
        "/api/tenant/%ff",
        "/api/tenant//models",
        "/api/tenant/admin/",
        "/api/tenant/v1/engines/fast/completions",
    ],
)
def test_unknown_route_is_a_json_error_without_redirect(gateway, world, path, method, authorized):
    headers = world.authorization if authorized else {}
    response = PLAIN.request(method, gateway.url + path, headers=headers)
    assert response.status_code in ((404,) if authorized else (401, 404))
    envelope(response, response.status_code, "unknown_url" if response.status_code == 404 else None)


def test_name_with_unusual_characters_is_not_found(http, gateway):
    for name in (
        "%00",
        "a%00b",
        "%ff",
        "%F0%9F%97%BC",
        "a" * 3000,
        "..%2f..",
        "a%0d%0ab",
        "?x",
        "%3Cscript%3E",
    ):
        response = http.get(f"{gateway.base_url}/models/{name}")
        assert response.status_code in (200, 400, 404), name
        assert "x-request-id" in response.headers


def test_headers_over_the_limit_are_refused(gateway, world):
    for headers in ({"x-big": "y" * 70_000}, {f"x-{number}": "y" * 700 for number in range(100)}):
        try:
            response = PLAIN.get(f"{gateway.base_url}/models", headers={**world.authorization, **headers})
        except httpx.TransportError:  # it hung up before everything had been sent
            continue
        envelope(response, 431, "headers_too_large")


def test_64_megabytes_of_headers_are_not_read(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(b"GET /api/tenant/models HTTP/1.1\r\nhost: x\r\n")
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 64 << 20:
                sent += client.send(b"x-filler: " + b"y" * 65_000 + b"\r\n")
        assert sent < 16 << 20


def test_many_headers_of_an_ordinary_size_pass(http):
    assert http.get("/models", headers={f"x-{number}": "y" * 100 for number in range(60)}).status_code == 200


def test_garbage_instead_of_http_is_survived(gateway, http):
    for garbage in (
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"\x00" * 100,
        b"GET / HTTP/9.9\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
            client.sendall(garbage)
            client.shutdown(socket.SHUT_WR)
            client.recv(1000)
    assert http.get("/models").status_code == 200


def test_request_smuggling_is_refused(gateway, world):
    key = world.authorization["authorization"]
    for framing in (
        "content-length: 5\r\ncontent-length: 6",
        "content-length: -1",
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "content-length: abc",
    ):
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=3) as client:
            client.sendall(
                f"POST /api/tenant/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: {key}\r\n"
                f"content-type: application/json\r\n{framing}\r\n\r\nhello".encode()
            )
            client.shutdown(socket.SHUT_WR)
            assert not client.recv(1000).startswith(b"HTTP/1.1 2"), framing


def test_bad_input_changes_nothing(refused, world):
    before = list(Tenant.objects.filter(pk=world.tenant.pk).values())
    refused(chat("fast", temperature="hot"))
    refused(b"{")
    assert list(Tenant.objects.filter(pk=world.tenant.pk).values()) == before
    assert world.tenant.keys.count() == 1
    assert world.tenant.targets.count() == 2


@pytest.mark.parametrize(
    "extra",
    [
        {"max_tokens": 0},
        {"seed": -9007199254740991},
        {"functions": [{"name": "f"}], "tools": []},
        {"moderation": {"x": 1}},
        {"verbosity": "low"},
        {"prompt_cache_options": {}},
        {"web_search_options": {}},
        {"something_new": {"nested": [1, 2.5, None, True]}},
        {"temperature": None, "stop": None, "tools": None, "stream": None, "n": None},
        {"temperature": 2, "top_p": 0},
    ],
    ids=json.dumps,
)
def test_what_sdks_send_is_not_refused(http, upstream, world, extra):
    response = http.post("/chat/completions", json=chat("fast", **extra))
    assert response.status_code == 200, response.text
    sent = upstream.last(world.raw).json
    assert sent["model"] == world.raw
    assert {name: sent.get(name) for name, value in extra.items() if value is not None} == {
        name: value for name, value in extra.items() if value is not None
    }
