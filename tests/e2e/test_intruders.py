"""Every route refuses who has no business there, and says the same whatever the reason."""

import socket
from datetime import timedelta

import pytest
from django.urls import resolve
from django.utils import timezone

from files.models import FileBatch
from gtapi.ids import random_base62
from inference import api_urls
from tenants.keys import PREFIX, checksum, generate
from tests import factories
from tests.e2e.routes import CALLING, CAPABILITIES, CAPABLE, KEYLESS, ROUTES
from tests.wire import BASES, PLAIN, envelope

EACH_ROUTE = pytest.mark.parametrize(
    ("route", "path"), [(route, base + route.path) for base in BASES for route in ROUTES], ids=str
)
EACH_CALL = pytest.mark.parametrize("route", CALLING, ids=str)


@pytest.fixture
def world(upstream):
    """A tenant whose one model can do everything; the provider has nothing to say to anybody."""
    made = factories.world(upstream.base_url, capabilities=CAPABILITIES)
    upstream.script(made.raw)
    return made


@pytest.fixture
def call(gateway):
    """Calls a route with a key, or with any headers."""

    def send(route, path, key=None, **headers):
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        return PLAIN.request(route.method, gateway.url + path, headers=headers, **route.request)

    return send


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


def test_every_route_is_tried_here():
    tried = {resolve(route.path, "inference.api_urls").route for route in ROUTES}
    assert {str(pattern.pattern) for pattern in api_urls.urlpatterns} == tried | KEYLESS


@EACH_ROUTE
def test_request_without_a_key_is_refused(upstream, world, call, route, path):
    without = envelope(call(route, path), 401, "invalid_api_key")
    for wrong, headers in wrong_keys(world.key.plain).items():
        response = call(route, path, **{name: value.encode("latin-1") for name, value in headers.items()})
        assert envelope(response, 401, "invalid_api_key") == without, wrong
        assert world.key.plain not in response.text
    assert upstream.received(world.raw) == []


@EACH_ROUTE
def test_revoked_key_is_refused(upstream, world, call, route, path):
    world.key.row.revoke()
    refused = call(route, path, world.key.plain)
    assert envelope(refused, 401, "invalid_api_key") == envelope(call(route, path), 401)
    assert upstream.received(world.raw) == []


@EACH_ROUTE
def test_expired_key_is_refused(world, call, route, path):
    past = timezone.now() - timedelta(seconds=1)
    expired = factories.key(world.tenant, [world.fast], expires_at=past)
    envelope(call(route, path, expired.plain), 401, "invalid_api_key")


@EACH_ROUTE
def test_key_of_a_disabled_tenant_is_refused(world, call, route, path):
    world.tenant.active = False
    world.tenant.save()
    envelope(call(route, path, world.key.plain), 401, "invalid_api_key")


@EACH_ROUTE
def test_key_on_another_tenants_host_is_refused(world, call, route, path):
    world.tenant.hosts = ["acme.example.com"]
    world.tenant.save()
    for host in ("evil.example.com", "example.com", "acme.example.com.evil.com", "x.acme.example.com", ""):
        envelope(call(route, path, world.key.plain, host=host), 401, "invalid_api_key")
    forged = {
        "host": "evil.example.com",
        "x-forwarded-host": "acme.example.com",
        "forwarded": "host=acme.example.com",
    }
    envelope(call(route, path, world.key.plain, **forged), 401, "invalid_api_key")


@EACH_ROUTE
def test_missing_scope_is_named(upstream, world, call, route, path):
    limited = factories.key(world.tenant, [world.fast], factories.scopes_without(route.scope))
    error = envelope(call(route, path, limited.plain), 403, "insufficient_scope")
    assert route.scope in error["message"]
    assert upstream.received(world.raw) == []


@pytest.mark.parametrize("route", [route for route in ROUTES if "/ds_none" in route.path], ids=str)
def test_dataset_without_a_grant_is_not_found(world, upstream, call, route):
    dataset = factories.dataset(world.tenant, keys=[world.key.row])
    batch = FileBatch.objects.create(tenant=world.tenant, dataset=dataset)
    dataset_file = factories.dataset_file(dataset, batch=batch, attributes={"a": 1})
    names = {"ds_none": dataset.pk, "file-none": dataset_file.file_id, "vsfb_none": batch.pk}
    path = route.path
    for name, there in names.items():
        path = path.replace(name, there)
    hidden = factories.dataset(world.tenant, keys=[world.key.row], hidden=True)
    for base in BASES:
        keys = [factories.key(world.tenant), factories.world(upstream.base_url).key]
        for key in keys:
            refused = envelope(call(route, base + path, key.plain), 404, "dataset_not_found")
            unknown = envelope(call(route, base + route.path, key.plain), 404, "dataset_not_found")
            assert refused["message"].replace(dataset.pk, "X") == unknown["message"].replace("ds_none", "X")
        in_hidden = base + path.replace(dataset.pk, hidden.pk)
        envelope(call(route, in_hidden, world.key.plain), 404, "dataset_not_found")
    dataset_file.refresh_from_db()
    assert (dataset_file.state, dataset_file.attributes) == ("ready", {"a": 1})
    assert dataset.dataset_files.count() == 1
    assert not FileBatch.objects.get(pk=batch.pk).cancelled


@EACH_CALL
def test_model_without_a_grant_is_not_found(upstream, world, call, route):
    stranger = factories.key(world.tenant, [])
    other = factories.world(upstream.base_url)
    for base in BASES:
        for key in (stranger, factories.key(other.tenant, [])):
            error = envelope(call(route, base + route.path, key.plain), 404, "model_not_found")
            assert error["param"] == "model"
    assert upstream.received(world.raw) == []


@EACH_CALL
def test_a_model_that_cannot_do_what_is_asked_says_so(upstream, world, call, route):
    can = [name for name in CAPABILITIES if name != CAPABLE[route.scope]]
    world.fast.capabilities = can
    world.fast.save()
    key = factories.key(world.tenant, [world.fast])
    for base in BASES:
        error = envelope(call(route, base + route.path, key.plain), 400, "unsupported_model")
        assert error["param"] == "model"
    assert upstream.received(world.raw) == []


@pytest.mark.parametrize("route", [route for route in CALLING if not route.how], ids=str)
def test_body_of_an_unauthenticated_request_is_not_read(gateway, route):
    """The refusal comes while the body is still to be sent."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        client.sendall(
            f"POST /api/tenant{route.path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            "content-length: 30000000\r\n\r\n{".encode()
        )
        assert client.recv(1000).startswith(b"HTTP/1.1 401 ")
