"""``POST /moderations``."""

from gtapi.errors import UpstreamFailed
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse
from inference.endpoints import ENDPOINTS
from inference.endpoints.moderations.schema import check_moderations, moderation, results, texts
from inference.metering import estimate, meter_tokens
from inference.provider_request import upstream_body
from inference.schemas.chat_response import usage
from inference.tokens import estimate_input
from inference.views.base import TargetView


class ModerationsView(TargetView):
    endpoint = ENDPOINTS["moderations"]

    async def post(self, request: APIRequest) -> JSONResponse:
        body = await request.json()
        name = await self.name_of(body)
        target, connection, adapter = await self.find(name)
        check_moderations(body)
        sent = upstream_body(target, body)
        answer = await adapter.fetch_json(connection, self.endpoint.name, sent, body.keys())
        built = moderation(answer, name)
        if built is None or len(built["results"]) != results(body):
            raise UpstreamFailed(detail=f"{connection.name}: not one result for each input")
        # OpenAI's own answer has no usage. What was read is metered all the same.
        used = usage(answer.get("usage")) or await estimate(
            self.usage, lambda: (estimate_input(texts(body)), 0)
        )
        meter_tokens(self.usage, used)
        return JSONResponse(built)
