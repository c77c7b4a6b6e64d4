"""Every adapter behind the gateway: every endpoint that it serves answers, and names no raw model."""

import pytest

from inference.endpoints import ENDPOINTS, served_capabilities
from inference.providers import ADAPTERS
from tests import factories
from tests.e2e.routes import CALLING
from tests.providers.script import Behaviour
from tests.providers.scripts import SCRIPTS
from tests.wire import PLAIN, chat, content, envelope, events

BY_PATH = {endpoint.path: endpoint.name for endpoint in ENDPOINTS.values()}
ROUTES = [
    (kind, route)
    for kind, adapter in ADAPTERS.items()
    for route in CALLING
    if BY_PATH[route.path] in adapter.operations
]


class Tenant:
    """A tenant whose entry `fast` can do all that its provider's adapter can."""

    def __init__(self, kind: str, upstream) -> None:
        self.adapter, self.script, self.upstream = ADAPTERS[kind], SCRIPTS[kind], upstream
        tenant = factories.tenant()
        url = upstream.base_url if self.adapter.has_network else ""
        provider = factories.provider(tenant, url, kind=kind)
        capabilities = sorted(served_capabilities(self.adapter.operations))
        self.entry = factories.catalog(provider, "fast", capabilities=capabilities)
        self.agent = factories.agent(self.entry, "support", instructions="Be brief.")
        self.headers = {"authorization": f"Bearer {factories.key(tenant, [self.entry, self.agent]).plain}"}

    def behave(self, behaviour: Behaviour) -> None:
        if behaviour.play:
            self.upstream.script(self.entry.model, behaviour.play)
        if behaviour.options:
            self.entry.model = f"{self.entry.model}?{behaviour.options}"
            self.entry.save()


@pytest.fixture
def tenant(kind, upstream) -> Tenant:
    return Tenant(kind, upstream)


@pytest.mark.parametrize(("kind", "route"), ROUTES, ids=str)
def test_endpoint_answers_under_the_public_name(gateway, tenant, route):
    operation = BY_PATH[route.path]
    streamed = route.how == "stream"
    behaviour = tenant.script.streamed(operation) if streamed else tenant.script.whole(operation)
    assert behaviour is not None
    tenant.behave(behaviour)
    request = route.request
    if route.path == "/audio/speech":
        request = {"json": {**request["json"], "response_format": "wav"}}
    response = PLAIN.request(route.method, gateway.base_url + route.path, headers=tenant.headers, **request)
    assert response.status_code == 200, response.text
    assert tenant.entry.model not in response.text
    assert response.content
    if streamed:
        assert '"error"' not in response.text


def test_agent_answers_chats_and_completions(gateway, tenant):
    if "chat" not in tenant.adapter.operations:
        return
    tenant.behave(tenant.script.whole("chat"))
    bodies = {"/chat/completions": chat("support"), "/completions": {"model": "support", "prompt": "Hi"}}
    for path, body in bodies.items():
        response = PLAIN.post(gateway.base_url + path, json=body, headers=tenant.headers)
        assert response.status_code == 200, response.text
        assert response.json()["model"] == "support"


def test_error_of_the_provider_reaches_the_client_as_ours(gateway, tenant):
    tenant.behave(tenant.script.failing("rate_limit"))
    route = next(r for r in CALLING if BY_PATH[r.path] in tenant.adapter.operations)
    response = PLAIN.request(
        route.method, gateway.base_url + route.path, headers=tenant.headers, **route.request
    )
    envelope(response, 429, "rate_limit_exceeded")
    assert response.headers["retry-after"] == "7"


def test_stream_that_breaks_off_ends_with_an_error_event(gateway, tenant):
    if "chat" not in tenant.adapter.operations or tenant.script.streamed("chat") is None:
        return
    tenant.behave(tenant.script.breaking_off("chat"))
    url = f"{gateway.base_url}/chat/completions"
    response = PLAIN.post(url, json=chat("fast", stream=True), headers=tenant.headers)
    received = events(response.text)
    assert content(received)
    assert received[-1]["error"]["code"] == "upstream_error"
