"""Every route refuses who has no business there, and says the same whatever the reason."""

from datetime import timedelta

import pytest
from django.utils import timezone

from gtapi.ids import random_base62
from tenants.keys import PREFIX, checksum, generate
from tests import answers, factories
from tests.wire import BASES, PLAIN, chat, envelope

#: Every route of the API: its method, its path, its body, and the scope that opens it.
ROUTES = [
    ("GET", "/models", None, "models:read"),
    ("GET", "/models/fast", None, "models:read"),
    ("POST", "/chat/completions", chat("fast"), "inference:chat"),
    ("POST", "/chat/completions", chat("fast", stream=True), "inference:chat"),
]
EACH_ROUTE = pytest.mark.parametrize(
    ("method", "path", "body", "scope"),
    [(method, base + path, body, scope) for base in BASES for method, path, body, scope in ROUTES],
    ids=lambda value: value if isinstance(value, str) else "stream" if value and "stream" in value else "-",
)


@pytest.fixture
def call(gateway):
    """Calls a route with a key, or with any headers."""

    def send(method, path, body, key=None, **headers):
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        return PLAIN.request(method, gateway.url + path, json=body, headers=headers)

    return send


@pytest.fixture
def world(upstream, world):
    """The provider streams where it is asked to."""

    async def either(wire):
        streamed = wire.received.json.get("stream")
        await (answers.stream(*answers.chunks("Hello there.")) if streamed else answers.answer())(wire)

    upstream.script(world.raw, either)
    return world


def wrong_keys(good: str) -> dict[str, dict[str, str]]:
    """Headers that open nothing, by what is wrong with them."""
    typo = good[:-7] + ("A" if good[-7] != "A" else "B") + good[-6:]
    body = f"{PREFIX}{good[5:17]}_{random_base62(40)}"
    return {
        "none": {},
        "empty": {"authorization": ""},
        "no-scheme": {"authorization": good},
        "basic": {"authorization": f"Basic {good}"},
        "bare-bearer": {"authorization": "Bearer"},
        "query-like": {"api-key": good},
        "x-api-key": {"x-api-key": good},
        "openai": {"authorization": "Bearer sk-proj-0123456789abcdef"},
        "wrong-crc": {"authorization": f"Bearer {typo}"},
        "wrong-secret": {"authorization": f"Bearer {body}{checksum(body)}"},
        "unknown": {"authorization": f"Bearer {generate().plain}"},
        "short": {"authorization": f"Bearer {good[:-1]}"},
        "long": {"authorization": f"Bearer {good}x"},
        "lower": {"authorization": f"Bearer {good.lower()}"},
        "two": {"authorization": f"Bearer {good} {good}"},
        "huge": {"authorization": f"Bearer {'x' * 20000}"},
        "latin": {"authorization": "Bearer gtak_é"},
    }


@EACH_ROUTE
@pytest.mark.parametrize("wrong", wrong_keys(generate().plain))
def test_no_key_opens_nothing(upstream, world, call, method, path, body, scope, wrong):
    headers = wrong_keys(world.key.plain)[wrong]
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    response = call(method, path, body, **encoded)
    error = envelope(response, 401, "invalid_api_key")
    assert error == envelope(call(method, path, body), 401)
    assert world.key.plain not in response.text
    assert upstream.received(world.raw) == []


@EACH_ROUTE
def test_a_revoked_key_opens_nothing(upstream, world, call, method, path, body, scope):
    world.key.row.revoke()
    refused = call(method, path, body, world.key.plain)
    assert envelope(refused, 401, "invalid_api_key") == envelope(call(method, path, body), 401)
    assert upstream.received(world.raw) == []


@EACH_ROUTE
def test_an_expired_key_opens_nothing(world, call, method, path, body, scope):
    past = timezone.now() - timedelta(seconds=1)
    expired = factories.key(world.tenant, [world.fast], expires_at=past)
    envelope(call(method, path, body, expired.plain), 401, "invalid_api_key")


@EACH_ROUTE
def test_a_key_of_a_tenant_that_is_turned_off_opens_nothing(world, call, method, path, body, scope):
    world.tenant.active = False
    world.tenant.save()
    envelope(call(method, path, body, world.key.plain), 401, "invalid_api_key")


@EACH_ROUTE
def test_a_key_on_another_tenants_host_opens_nothing(world, call, method, path, body, scope):
    world.tenant.hosts = ["acme.example.com"]
    world.tenant.save()
    for host in ("evil.example.com", "example.com", "acme.example.com.evil.com", "x.acme.example.com", ""):
        envelope(call(method, path, body, world.key.plain, host=host), 401, "invalid_api_key")
    for host in ("acme.example.com", "ACME.example.com:8443", "acme.example.com."):
        assert call(method, path, body, world.key.plain, host=host).status_code == 200
    forged = {"host": "evil.example.com", "x-forwarded-host": "acme.example.com"}
    envelope(call(method, path, body, world.key.plain, **forged), 401)


@EACH_ROUTE
def test_a_key_without_the_scope_is_told_which_one(upstream, world, call, method, path, body, scope):
    others = [name for name in factories.SCOPES if name != scope]
    limited = factories.key(world.tenant, [world.fast], others)
    error = envelope(call(method, path, body, limited.plain), 403, "insufficient_scope")
    assert scope in error["message"]
    assert upstream.received(world.raw) == []


def reachable(call, key: str) -> set[str]:
    """The names that a key can call, tried one by one, which have to be those that its list tells."""
    names = {model["id"] for model in call("GET", "/api/tenant/models", None, key).json()["data"]}
    for name in ("fast", "support", "hidden", "draft"):
        for base in BASES:
            one = call("GET", f"{base}/models/{name}", None, key)
            said = call("POST", f"{base}/chat/completions", chat(name), key)
            if name in names:
                assert one.json()["id"] == name
                assert said.status_code == 200
            else:
                assert envelope(one, 404, "model_not_found") == envelope(said, 404, "model_not_found")
    return names


def test_what_a_key_lists_is_what_it_may_call(upstream, world, call):
    hidden = factories.catalog(world.provider, "hidden", published=False)
    draft = factories.agent(world.fast, "draft", published=False)
    for entry in (hidden, world.fast):
        upstream.script(entry.model, answers.answer())
    everything = [world.fast, world.support, hidden, draft]
    assert reachable(call, factories.key(world.tenant).plain) == set()
    assert reachable(call, factories.key(world.tenant, [world.support]).plain) == {"support"}
    assert reachable(call, factories.key(world.tenant, [world.fast]).plain) == {"fast"}
    assert reachable(call, factories.key(world.tenant, everything).plain) == {"fast", "support"}


def test_an_agent_over_an_unpublished_entry_can_be_called(upstream, world, call):
    world.fast.published = False
    world.fast.save()
    key = factories.key(world.tenant, [world.support])
    assert call("POST", "/api/tenant/chat/completions", chat("support"), key.plain).status_code == 200


@pytest.mark.parametrize("base", BASES)
def test_a_name_that_is_not_ones_own_does_not_exist(upstream, world, call, base):
    other = factories.world(upstream.base_url)
    private = factories.catalog(other.provider, "private")
    factories.grant(other.key.row, private)
    upstream.script(private.model, answers.answer())
    names = (
        "private",
        "no-such-thing",
        world.raw,
        other.raw,
        "FAST",
        "fast ",
        "",
        "../models",
        "fast\n",
        "ﬀast",
    )
    for name in names:
        response = call("POST", f"{base}/chat/completions", chat(name), world.key.plain)
        assert response.status_code in (400, 404), name
        if name:
            error = envelope(response, 404, "model_not_found")
            assert error["param"] == "model"
    assert upstream.received(private.model) == []
    theirs = call("POST", f"{base}/chat/completions", chat("private"), other.key.plain)
    assert theirs.status_code == 200


def test_two_tenants_with_the_same_names_do_not_meet(upstream, world, call):
    other = factories.world(upstream.base_url)
    upstream.script(other.raw, answers.answer(answers.completion("from the other one")))
    for base in BASES:
        mine = call("POST", f"{base}/chat/completions", chat("fast"), world.key.plain).json()
        theirs = call("POST", f"{base}/chat/completions", chat("fast"), other.key.plain).json()
        assert mine["choices"][0]["message"]["content"] == "Hello there."
        assert theirs["choices"][0]["message"]["content"] == "from the other one"


def test_the_body_of_a_stranger_is_not_read(gateway):
    """The refusal comes while the body is still to be sent."""
    import socket

    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        client.sendall(
            b"POST /api/tenant/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"content-length: 30000000\r\n\r\n{"
        )
        assert client.recv(1000).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    "forged",
    [
        {"x-request-id": "mine"},
        {"x-gt-tenant": "other"},
        {"x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1"},
        {"cookie": "sessionid=abc"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_headers_of_the_client_mean_nothing(world, call, forged):
    response = call("GET", "/api/tenant/models", None, world.key.plain, **forged)
    assert response.headers["x-request-id"].startswith("req_")
    envelope(call("GET", "/api/tenant/models", None, None, **forged), 401)


def test_the_providers_credential_goes_to_the_provider_and_the_clients_key_does_not(upstream, world, call):
    forwarded = {
        "openai-organization": "org",
        "x-stainless-lang": "python",
        "cookie": "a=b",
        "referer": "http://x",
    }
    call("POST", "/api/tenant/chat/completions", chat("fast"), world.key.plain, **forwarded)
    sent = upstream.last(world.raw)
    assert sent.header("authorization") == f"Bearer {factories.CREDENTIAL}"
    whole = repr(sent.headers) + sent.body.decode()
    assert world.key.plain not in whole
    assert not {"openai-organization", "x-stainless-lang", "cookie", "referer"} & {
        n.lower() for n, _ in sent.headers
    }
