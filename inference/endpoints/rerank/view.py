"""``POST /rerank``."""

from django.http.response import HttpResponseBase

from gtapi.errors import UpstreamFailed
from gtapi.json_types import JSON
from gtapi.web.responses import JSONResponse
from inference.edge import Edge
from inference.endpoints import ENDPOINTS
from inference.endpoints.rerank.schema import check_rerank, estimate_prompt, reported_usage, rerank, texts
from inference.exchange import Exchange
from inference.metering import meter_reported
from inference.provider_request import json_request
from inference.views import InferenceView


class RerankEdge(Edge):
    def validate(self, exchange: Exchange) -> None:
        check_rerank(exchange.body)

    def provider_request(self, exchange: Exchange) -> JSON:
        # Every provider accepts plain texts. It need not send them back: the response has the client's own.
        changes = {"documents": texts(exchange.body), "return_documents": None}
        return json_request(exchange.target, {**exchange.body, **changes})

    async def build(self, exchange: Exchange, response: JSON) -> HttpResponseBase:
        body = exchange.body
        built = rerank(response, exchange.model, body)
        if built is None:
            raise UpstreamFailed(detail=f"{exchange.connection.name}: not one valid result for each document")
        reported = reported_usage(response.get("usage"))
        usage = await meter_reported(exchange.usage, reported, lambda: (estimate_prompt(body), 0))
        built["usage"] = {name: usage[name] for name in ("prompt_tokens", "total_tokens")}
        return JSONResponse(built)


class RerankView(InferenceView):
    endpoint = ENDPOINTS["rerank"]
    edge = RerankEdge()
