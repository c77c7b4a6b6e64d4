"""``GET /models`` says on which routes a model can be called, and that is exactly where it can be."""

import pytest

from inference.endpoints import ENDPOINTS
from tests import factories
from tests.e2e.routes import CALLING, CAPABILITIES, CAPABLE
from tests.wire import PLAIN, envelope

BY_CAPABILITY = {
    "chat": {"/chat/completions", "/completions"},
    "embed": {"/embeddings"},
    "transcribe": {"/audio/transcriptions", "/audio/translations"},
    "speech": {"/audio/speech"},
    "image": {"/images/generations", "/images/edits", "/images/variations"},
    "moderate": {"/moderations"},
    "rerank": {"/rerank"},
}


@pytest.fixture(scope="module")
def shop(database, upstream):
    """A tenant with one entry for each capability, one for two of them, and an agent."""
    world = factories.world(upstream.base_url)
    entries = [factories.catalog(world.provider, f"can-{can}", capabilities=[can]) for can in CAPABILITIES]
    both = factories.catalog(world.provider, "can-both", capabilities=["embed", "chat"])
    for entry in (*entries, both, world.fast):
        upstream.script(entry.model)
    return world, [*entries, both, world.support]


def listed(gateway, key: factories.Key) -> dict[str, set[str]]:
    response = PLAIN.get(f"{gateway.base_url}/models", headers={"authorization": f"Bearer {key.plain}"})
    found = {model["id"]: model["endpoints"] for model in response.json()["data"]}
    for name, endpoints in found.items():
        assert len(endpoints) == len(set(endpoints))
        one = PLAIN.get(f"{gateway.base_url}/models/{name}", headers={"authorization": f"Bearer {key.plain}"})
        assert one.json()["endpoints"] == endpoints
    return {name: set(endpoints) for name, endpoints in found.items()}


def test_a_model_names_its_routes(gateway, shop):
    world, targets = shop
    assert listed(gateway, factories.key(world.tenant, targets)) == {
        **{f"can-{can}": BY_CAPABILITY[can] for can in CAPABILITIES},
        "can-both": BY_CAPABILITY["embed"] | BY_CAPABILITY["chat"],
        "support": BY_CAPABILITY["chat"],
    }


@pytest.mark.parametrize("scope", CAPABLE)
def test_only_routes_that_the_keys_scopes_open_are_named(gateway, shop, scope):
    world, targets = shop
    opened = BY_CAPABILITY[CAPABLE[scope]]
    found = listed(gateway, factories.key(world.tenant, targets, ["models:read", scope]))
    assert found
    assert set().union(*found.values()) == opened
    assert all(found.values())


def test_what_is_not_named_is_refused_and_what_is_named_is_not(gateway, shop):
    world, targets = shop
    key = factories.key(world.tenant, targets)
    headers = {"authorization": f"Bearer {key.plain}"}
    for name, endpoints in listed(gateway, key).items():
        for route in (one for one in CALLING if not one.how):
            kind = "json" if "json" in route.request else "data"
            request = {**route.request, kind: {**route.request[kind], "model": name}}
            response = PLAIN.post(gateway.base_url + route.path, headers=headers, **request)
            if route.path in endpoints:
                # The provider knows nothing of all this: what matters is that it was asked.
                envelope(response, 502, "upstream_error")
                continue
            error = envelope(response, 400, "unsupported_model")
            assert error["param"] == "model"
            assert all(path in error["message"] for path in endpoints)
            assert name in error["message"]


def test_every_route_is_of_some_capability():
    assert {endpoint.path for endpoint in ENDPOINTS.values()} == set().union(*BY_CAPABILITY.values())


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "/audio", "/audio/voices", "/audio/speech/", "/audio/transcriptions/x", "/images", "/images/files",
        "/images/files/", "/images/files/a/b", "/images/generations/", "/embeddings/x", "/edits",
        "/fine_tuning/jobs", "/batches", "/uploads", "/assistants", "/threads", "/realtime/sessions", "/evals",
    ],
)  # fmt: skip
def test_an_unknown_route_is_named(studio_http, base, path, method):
    url = base + path
    message = envelope(studio_http.request(method, url), 404, "unknown_url")["message"]
    assert f"{method} {url[url.index('/api') :]}" in message


@pytest.mark.parametrize("path", sorted(set().union(*BY_CAPABILITY.values())))
def test_a_wrong_method_is_refused(studio_http, path):
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        response = studio_http.request(method, path)
        envelope(response, 405, "method_not_allowed")
        assert response.headers["allow"] == "POST"
