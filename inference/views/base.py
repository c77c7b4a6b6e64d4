"""The base of the views that call a model."""

from collections.abc import Mapping
from typing import Any, ClassVar

from gtapi.validation import model_name
from inference import policy
from inference.endpoints import Endpoint
from inference.providers import ADAPTERS
from inference.providers.base import Adapter, ProviderConnection
from inference.routing import Target
from tenants.views import AuthenticatedView


class TargetView(AuthenticatedView):
    """A view of one ``endpoint``; scope and route in the usage record follow from it."""

    endpoint: ClassVar[Endpoint]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if endpoint := getattr(cls, "endpoint", None):
            cls.scope, cls.route = endpoint.scope, endpoint.path

    async def name_of(self, body: Mapping[str, Any]) -> str:
        """Return the name of the model that a request asks for, on routes where OpenAI has a default one.

        Where a request names none, it is the one model that the key may call on this route.
        """
        if body.get("model") is None:
            found = await policy.callable_targets(self.auth)
            names = [target.name for target, endpoints in found if self.endpoint in endpoints]
            if len(names) == 1:
                return names[0]
        return model_name(body)

    async def find(self, name: str) -> tuple[Target, ProviderConnection, Adapter]:
        """Return what a name stands for on this endpoint, its provider and the adapter for that."""
        if self.usage is not None:
            self.usage.model = name
        target = await policy.route(self.auth, name, self.endpoint)
        if target.connection is None:
            raise RuntimeError(f"{target.name} is available and leads nowhere")
        if self.usage is not None:
            self.usage.agent_version = target.version
            self.usage.provider = target.connection.name
            self.usage.raw_model = target.raw_model
        return target, target.connection, ADAPTERS[target.connection.kind]
