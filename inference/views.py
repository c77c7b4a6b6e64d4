"""The view of every endpoint that calls a model: it authenticates and authorizes, then enters the pipeline."""

from typing import ClassVar

from django.http.response import HttpResponseBase

from gtapi.web.request import APIRequest
from inference import pipeline
from inference.edge import Edge
from inference.endpoints import Endpoint
from inference.exchange import Exchange
from tenants.views import AuthenticatedView


class InferenceView(AuthenticatedView):
    """A view of one ``endpoint``, from which its scope and its route in the usage event follow."""

    endpoint: ClassVar[Endpoint]
    edge: ClassVar[Edge]

    def __init_subclass__(cls) -> None:
        cls.scope, cls.route = cls.endpoint.scope, cls.endpoint.path
        super().__init_subclass__()

    async def post(self, request: APIRequest) -> HttpResponseBase:
        # From here on the pipeline records the usage event.
        usage, self.usage = self.usage, None
        if usage is None:
            raise RuntimeError("the request is not authenticated")
        return await pipeline.serve(
            Exchange(request, self.auth, self.endpoint, usage, self.started), self.edge
        )
