from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests import factories
from tests.e2e.routes import CAPABILITIES
from tests.gateway import GatewayProcess
from tests.openapi.provider import obliging
from tests.upstream import Upstream


@dataclass
class Site:
    """A gateway, its provider, and a tenant whose model can do everything."""

    gateway: GatewayProcess
    upstream: Upstream
    world: factories.World
    client: httpx.Client

    @property
    def base_url(self) -> str:
        return self.gateway.base_url

    def conversation(self) -> str:
        return self.client.post("/conversations").json()["id"]

    def dataset(self) -> str:
        return self.client.post("/datasets", json={"name": "handbook"}).json()["id"]

    def path(self, route) -> str:
        """A route's path, about a conversation or a dataset that is there."""
        if route.path.startswith("/datasets/{id}"):
            return route.path.replace("{id}", self.dataset())
        return route.path.replace("{id}", self.conversation()) if "/{id}" in route.path else route.path

    def headers(self, route) -> dict[str, str]:
        """The headers that a route cannot do without."""
        needed = [p["name"] for p in route.parameters if p["in"] == "header" and p.get("required")]
        return {name: self.conversation() for name in needed}


@pytest.fixture(scope="session")
def site(gateway, upstream, django_db_blocker) -> Iterator[Site]:
    with django_db_blocker.unblock():
        world = factories.world(upstream.base_url, capabilities=CAPABILITIES)
    upstream.script(world.raw, obliging)
    with httpx.Client(
        base_url=gateway.base_url, headers=world.authorization, timeout=30, verify=False
    ) as client:
        yield Site(gateway, upstream, world, client)
