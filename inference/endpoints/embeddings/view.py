"""``POST /embeddings``."""

from django.http.response import HttpResponseBase

from gtapi.errors import UpstreamFailed
from gtapi.json_types import JSON
from gtapi.web.responses import JSONResponse
from inference import tokens
from inference.edge import Edge
from inference.endpoints import ENDPOINTS
from inference.endpoints.embeddings.schema import check_embeddings, embeddings, inputs
from inference.exchange import Exchange
from inference.metering import estimate, meter_tokens
from inference.provider_request import json_request
from inference.views import InferenceView


class EmbeddingsEdge(Edge):
    def validate(self, exchange: Exchange) -> None:
        check_embeddings(exchange.body)

    def provider_request(self, exchange: Exchange) -> JSON:
        return json_request(exchange.target, exchange.body)

    async def build(self, exchange: Exchange, response: JSON) -> HttpResponseBase:
        body = exchange.body
        built = embeddings(response, exchange.model, base64=body.get("encoding_format") == "base64")
        if built is None or len(built["data"]) != inputs(body):
            raise UpstreamFailed(detail=f"{exchange.connection.name}: not one embedding for each input")
        if "usage" not in built:
            usage = await estimate(exchange.usage, lambda: (tokens.estimate_input(body["input"]), 0))
            built["usage"] = {name: usage[name] for name in ("prompt_tokens", "total_tokens")}
        meter_tokens(exchange.usage, built["usage"])
        return JSONResponse(built)


class EmbeddingsView(InferenceView):
    endpoint = ENDPOINTS["embeddings"]
    edge = EmbeddingsEdge()
