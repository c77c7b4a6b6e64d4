"""``POST /embeddings``."""

from gtapi.errors import UpstreamFailed
from gtapi.validation import model_name
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse
from inference import tokens
from inference.endpoints import ENDPOINTS
from inference.endpoints.embeddings.schema import check_embeddings, embeddings, inputs
from inference.metering import estimate, meter_tokens
from inference.provider_request import upstream_body
from inference.views.base import TargetView


class EmbeddingsView(TargetView):
    endpoint = ENDPOINTS["embeddings"]

    async def post(self, request: APIRequest) -> JSONResponse:
        body = await request.json()
        name = model_name(body)
        target, connection, adapter = await self.find(name)
        check_embeddings(body)
        sent = upstream_body(target, body)
        answer = await adapter.fetch_json(connection, self.endpoint.name, sent, body.keys())
        built = embeddings(answer, name, base64=body.get("encoding_format") == "base64")
        if built is None or len(built["data"]) != inputs(body):
            raise UpstreamFailed(detail=f"{connection.name}: not one embedding for each input")
        if "usage" not in built:
            usage = await estimate(self.usage, lambda: (tokens.estimate_input(body["input"]), 0))
            built["usage"] = {"prompt_tokens": usage["prompt_tokens"], "total_tokens": usage["total_tokens"]}
        meter_tokens(self.usage, built["usage"])
        return JSONResponse(built)
