"""What a key lists is what it can call, and nothing of it is another tenant's."""

import pytest

from tests import answers, factories
from tests.wire import BASES, PLAIN, chat, envelope


@pytest.fixture
def call(gateway):
    """Calls a route with a key, or with any headers."""

    def send(method, path, body, key=None, **headers):
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        return PLAIN.request(method, gateway.url + path, json=body, headers=headers)

    return send


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


def test_a_key_works_on_each_spelling_of_its_tenants_host(world, call):
    world.tenant.hosts = ["acme.example.com"]
    world.tenant.save()
    for host in ("acme.example.com", "ACME.example.com:8443", "acme.example.com."):
        assert call("GET", "/api/tenant/models", None, world.key.plain, host=host).status_code == 200


def test_an_agent_over_an_unpublished_entry_can_be_called(upstream, world, call):
    world.fast.published = False
    world.fast.save()
    key = factories.key(world.tenant, [world.support])
    assert call("POST", "/api/tenant/chat/completions", chat("support"), key.plain).status_code == 200


@pytest.mark.parametrize("base", BASES)
def test_name_of_another_tenant_is_not_found(upstream, world, call, base):
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


def test_tenants_with_the_same_names_are_separate(upstream, world, call):
    other = factories.world(upstream.base_url)
    upstream.script(other.raw, answers.answer(answers.completion("from the other one")))
    for base in BASES:
        mine = call("POST", f"{base}/chat/completions", chat("fast"), world.key.plain).json()
        theirs = call("POST", f"{base}/chat/completions", chat("fast"), other.key.plain).json()
        assert mine["choices"][0]["message"]["content"] == "Hello there."
        assert theirs["choices"][0]["message"]["content"] == "from the other one"


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
def test_client_headers_are_ignored(world, call, forged):
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
