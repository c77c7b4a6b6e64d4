"""The HTTP server in front of the models."""

import asyncio
import logging
import time
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from local_models import available
from local_models.endpoints.base import Endpoint
from local_models.errors import LocalModelError, UnknownModelError, envelope
from local_models.fields import MAX_BODY
from local_models.local_model import LocalModel, Settings
from local_models.registry import ENDPOINTS
from local_models.responses import json_response

logger = logging.getLogger(__name__)

FAULT = "The server had an error while processing your request."
#: What a client is told of a fault that the web framework found.
FAULTS = {
    404: ("Unknown request URL: {method} {path}. Please check the URL for typos.", "unknown_url"),
    405: ("The method {method} is not allowed here.", "method_not_allowed"),
    413: (f"The request body is larger than the limit of {MAX_BODY:,} bytes.", "request_too_large"),
}


class Server:
    """The models, and the routes that lead to them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.models: dict[str, LocalModel] = {}
        for endpoint in ENDPOINTS.values():
            self._model(endpoint.model)
        self.installed = [name for name, model in self.models.items() if available(model.capability)]
        self.started = int(time.time())

    def _model(self, kind: type[LocalModel]) -> LocalModel:
        """Return the one instance of a model, made with those that it uses."""
        if kind.id not in self.models:
            used = [self._model(other) for other in kind.uses]
            self.models[kind.id] = kind(self.settings, *used)
        return self.models[kind.id]

    def application(self) -> web.Application:
        """Return the application."""
        application = web.Application(middlewares=[_log, _envelope], client_max_size=MAX_BODY)
        application.router.add_get("/healthz", self.health)
        application.router.add_get("/v1/models", self.list_models)
        application.router.add_get("/v1/models/{id:.+}", self.show_model)
        for path, endpoint in ENDPOINTS.items():
            application.router.add_post(path, self._route(endpoint))
        return application

    async def preload(self) -> None:
        """Load the models that are worth having at once.

        Raises:
            ModelUnavailableError: one cannot be loaded.
        """
        await asyncio.gather(*(model.ready() for model in self._eager()))

    def _eager(self) -> list[LocalModel]:
        return [self.models[name] for name in self.installed if self.models[name].eager]

    async def health(self, _: web.Request) -> web.Response:
        """Answer 200 when a request would be answered at once, 503 while a model is still being loaded."""
        states = {name: "loaded" if self.models[name].loaded else "not loaded" for name in self.installed}
        ready = all(model.loaded for model in self._eager())
        return json_response(
            {"status": "ok" if ready else "loading", "models": states}, status=200 if ready else 503
        )

    async def list_models(self, _: web.Request) -> web.Response:
        """Answer OpenAI's list of models: of those that are installed."""
        return json_response({"object": "list", "data": [self._described(name) for name in self.installed]})

    async def show_model(self, request: web.Request) -> web.Response:
        """Answer one model."""
        name = request.match_info["id"]
        if name not in self.installed:
            raise UnknownModelError(name)
        return json_response(self._described(name))

    def _described(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self.started, "owned_by": "local"}

    def _route(self, endpoint: Endpoint[Any]) -> Handler:
        model = self._model(endpoint.model)

        async def handle(request: web.Request) -> web.StreamResponse:
            return await endpoint.answer(request, model)

        return handle


@web.middleware
async def _log(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Write a line for each request but the probes: never a word of what it said."""
    started = time.monotonic()
    outcome = "client left"
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
    """Turn every fault into OpenAI's envelope."""
    try:
        return await handler(request)
    except LocalModelError as error:
        return json_response(error.body(), status=error.status)
    except web.HTTPException as error:
        message, code = FAULTS.get(error.status, ("The request could not be served.", "invalid_value"))
        message = message.format(method=request.method, path=request.path)
        return json_response(envelope(message, kind="invalid_request_error", code=code), status=error.status)
    except ConnectionError:
        # The client left in the middle of a stream; there is nobody to tell.
        raise
    except Exception:
        logger.exception("unhandled error")
        return json_response(LocalModelError(FAULT).body(), status=500)
