"""``POST /moderations``."""

from django.http.response import HttpResponseBase

from gtapi.errors import UpstreamFailed
from gtapi.json_types import JSON
from gtapi.web.responses import JSONResponse
from inference.edge import Edge
from inference.endpoints import ENDPOINTS
from inference.endpoints.moderations.schema import check_moderations, moderation, results, texts
from inference.exchange import Exchange
from inference.metering import meter_reported
from inference.provider_request import json_request
from inference.schemas.chat_response import usage
from inference.tokens import estimate_input
from inference.views import InferenceView


class ModerationsEdge(Edge):
    has_default_model = True

    def validate(self, exchange: Exchange) -> None:
        check_moderations(exchange.body)

    def provider_request(self, exchange: Exchange) -> JSON:
        return json_request(exchange.target, exchange.body)

    async def build(self, exchange: Exchange, response: JSON) -> HttpResponseBase:
        built = moderation(response, exchange.model)
        if built is None or len(built["results"]) != results(exchange.body):
            raise UpstreamFailed(detail=f"{exchange.connection.name}: not one result for each input")
        # OpenAI's response has no usage. The input is metered all the same.
        reported = usage(response.get("usage"))
        await meter_reported(exchange.usage, reported, lambda: (estimate_input(texts(exchange.body)), 0))
        return JSONResponse(built)


class ModerationsView(InferenceView):
    endpoint = ENDPOINTS["moderations"]
    edge = ModerationsEdge()
