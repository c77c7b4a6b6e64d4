"""``GET /openapi.json`` and ``GET /docs``: the API reference, which needs no key."""

from asyncio import to_thread

from django.http import HttpResponse

from gtapi.web.request import APIRequest
from gtapi.web.views import AsyncAPIView, NoAuthentication
from inference.openapi.assembly import written
from inference.openapi.page import page, policy


class DescriptionView(AsyncAPIView):
    authentication = NoAuthentication()

    async def get(self, request: APIRequest) -> HttpResponse:
        headers = {"cache-control": "public, max-age=300", "access-control-allow-origin": "*"}
        return HttpResponse(written(), content_type="application/json", headers=headers)


class ReferenceView(AsyncAPIView):
    authentication = NoAuthentication()

    async def get(self, request: APIRequest) -> HttpResponse:
        base_url = request.origin() + request.path.removesuffix("/docs")
        headers = {
            "content-security-policy": policy(),
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
        }
        # The first request renders the page, which takes a moment.
        text = await to_thread(page, base_url)
        return HttpResponse(text, content_type="text/html; charset=utf-8", headers=headers)
