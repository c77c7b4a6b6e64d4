"""``GET /models`` and ``GET /models/{id}``: the models that the key may call."""

from typing import Any

from gtapi.errors import ModelNotFound
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse
from inference import policy
from inference.endpoints import Endpoint
from inference.routing import Target
from tenants.views import AuthenticatedView


def model_object(target: Target, endpoints: list[Endpoint], owner: str) -> dict[str, Any]:
    """Return OpenAI's model object; ``endpoints`` is ours and names the routes that the key may call it on."""
    return {
        "id": target.name,
        "object": "model",
        "created": target.created,
        "owned_by": owner,
        "endpoints": [endpoint.path for endpoint in endpoints],
    }


class ModelsView(AuthenticatedView):
    scope = "models:read"
    route = "/models"

    async def get(self, request: APIRequest) -> JSONResponse:
        targets = await policy.callable_targets(self.auth)
        data = [model_object(target, endpoints, self.auth.tenant_slug) for target, endpoints in targets]
        return JSONResponse({"object": "list", "data": data})


class ModelView(AuthenticatedView):
    scope = "models:read"
    route = "/models/{id}"

    async def get(self, request: APIRequest, name: str) -> JSONResponse:
        if self.usage is not None:
            self.usage.model = name
        for target, endpoints in await policy.callable_targets(self.auth):
            if target.name == name:
                return JSONResponse(model_object(target, endpoints, self.auth.tenant_slug))
        raise ModelNotFound(name)
