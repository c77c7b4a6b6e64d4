"""The HTTP server: routes, logging and error responses."""

import asyncio
import logging
import time
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from local_models import available
from local_models.endpoints.base import ModelEndpoint
from local_models.errors import LocalModelError, UnknownModelError, envelope
from local_models.fields import MAX_BODY
from local_models.local_model import LocalModel, ModelSettings
from local_models.registry import ENDPOINTS
from local_models.responses import json_response

logger = logging.getLogger(__name__)

SERVER_ERROR = "The server had an error while processing your request."
#: Message and code for errors raised by the web framework.
HTTP_ERRORS = {
    404: ("Unknown request URL: {method} {path}. Please check the URL for typos.", "unknown_url"),
    405: ("The method {method} is not allowed for this URL.", "method_not_allowed"),
    413: (f"The request body is larger than the limit of {MAX_BODY:,} bytes.", "request_too_large"),
}


class ModelServer:
    """The models and their routes."""

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.models: dict[str, LocalModel] = {}
        for endpoint in ENDPOINTS.values():
            self._model(endpoint.model)
        self.installed = [name for name, model in self.models.items() if available(model.capability)]
        self.started = int(time.time())

    def _model(self, model_class: type[LocalModel]) -> LocalModel:
        """Return the only instance of a model, created with the models it depends on."""
        if model_class.id not in self.models:
            dependencies = [self._model(dependency) for dependency in model_class.uses]
            self.models[model_class.id] = model_class(self.settings, *dependencies)
        return self.models[model_class.id]

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application(middlewares=[_log, _envelope], client_max_size=MAX_BODY)
        application.router.add_get("/healthz", self.health)
        application.router.add_get("/v1/models", self.list_models)
        application.router.add_get("/v1/models/{id:.+}", self.show_model)
        for path, endpoint in ENDPOINTS.items():
            application.router.add_post(path, self._route(endpoint))
        return application

    async def preload(self) -> None:
        """Load the models that are loaded at startup.

        Raises:
            ModelUnavailableError: a model cannot be loaded.
        """
        await asyncio.gather(*(model.ready() for model in self._eager()))

    def _eager(self) -> list[LocalModel]:
        return [self.models[name] for name in self.installed if self.models[name].eager]

    async def health(self, _: web.Request) -> web.Response:
        """Return 200 once the models of startup are loaded, 503 before."""
        states = {name: "loaded" if self.models[name].loaded else "not loaded" for name in self.installed}
        ready = all(model.loaded for model in self._eager())
        return json_response(
            {"status": "ok" if ready else "loading", "models": states}, status=200 if ready else 503
        )

    async def list_models(self, _: web.Request) -> web.Response:
        """Return the installed models as OpenAI's list."""
        return json_response({"object": "list", "data": [self._describe(name) for name in self.installed]})

    async def show_model(self, request: web.Request) -> web.Response:
        """Return one model."""
        name = request.match_info["id"]
        if name not in self.installed:
            raise UnknownModelError(name)
        return json_response(self._describe(name))

    def _describe(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self.started, "owned_by": "local"}

    def _route(self, endpoint: ModelEndpoint[Any]) -> Handler:
        model = self._model(endpoint.model)

        async def handle(request: web.Request) -> web.StreamResponse:
            return await endpoint.handle(request, model)

        return handle


@web.middleware
async def _log(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Log a line per request, without content; health checks are not logged."""
    started = time.monotonic()
    outcome = "client disconnected"
    try:
        response = await handler(request)
        outcome = str(response.status)
    finally:
        if request.path != "/healthz":
            seconds = time.monotonic() - started
            logger.info("%s %s: %s, %.2f s", request.method, request.path, outcome, seconds)
    return response


@web.middleware
async def _envelope(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into OpenAI's envelope."""
    try:
        return await handler(request)
    except LocalModelError as error:
        return json_response(error.body(), status=error.status)
    except web.HTTPException as error:
        message, code = HTTP_ERRORS.get(error.status, ("The request is invalid.", "invalid_value"))
        message = message.format(method=request.method, path=request.path)
        return json_response(envelope(message, kind="invalid_request_error", code=code), status=error.status)
    except ConnectionError:
        # The client disconnected during a stream.
        raise
    except Exception:
        logger.exception("unhandled exception")
        return json_response(LocalModelError(SERVER_ERROR).body(), status=500)
