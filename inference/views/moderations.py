"""``POST /moderations``."""

from gtapi.errors import UpstreamFailed
from gtapi.request import APIRequest
from gtapi.responses import JSONResponse
from inference.context import upstream_body
from inference.endpoints import ENDPOINTS
from inference.shapes.checks import model_name
from inference.shapes.moderations import check_moderations, moderation
from inference.views.base import TargetView


class ModerationsView(TargetView):
    endpoint = ENDPOINTS["moderations"]

    async def post(self, request: APIRequest) -> JSONResponse:
        body = await request.json()
        name = model_name(body)
        target, upstream, adapter = await self.find(name)
        check_moderations(body)
        sent = upstream_body(target, body)
        built = moderation(await adapter.answer(upstream, self.endpoint.name, sent, body.keys()), name)
        if not built["results"]:
            raise UpstreamFailed(detail=f"{upstream.name}: an answer without results")
        return JSONResponse(built)
