"""``POST /images/generations``, ``/images/edits`` and ``/images/variations``, and what their addresses lead to."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from django.http import HttpResponse
from django.http.response import HttpResponseBase

from files.views.uploads import in_storage_thread
from gtapi.errors import UpstreamFailed
from gtapi.validation import missing, one_of
from gtapi.web.multipart import MultipartForm, multipart_form
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse
from gtapi.web.views import AsyncAPIView, NoAuthentication
from inference import image_storage as kept
from inference.endpoints import ENDPOINTS
from inference.endpoints.image_generations.schema import (
    OUTPUT_FORMATS,
    check_generation,
    image_writer,
    images,
    media_type,
)
from inference.metering import meter_tokens
from inference.provider_request import upstream_body
from inference.providers.base import Adapter, Body, ProviderConnection
from inference.routing import Target
from inference.schemas.typed_events import token_usage
from inference.views.uploads import UploadView, flag

JSON = dict[str, Any]
#: Models that always answer with base64 and refuse to be asked for it.
ALWAYS_BASE64 = ("gpt-image", "chatgpt-image")


def answers_with_base64(target: Target) -> bool:
    """Tell whether the provider answers with the image itself, and not with an address of its own, unasked."""
    return any(name in target.raw_model for name in ALWAYS_BASE64)


class ImagesView(UploadView):
    """What the three routes share."""

    #: How the types of streamed events begin.
    events: ClassVar[str] = "image_generation"

    async def respond(
        self,
        request: APIRequest,
        adapter: Adapter,
        connection: ProviderConnection,
        sent: Body,
        client_params: Collection[str],
        *,
        url: bool,
    ) -> JSONResponse:
        """Call the provider and answer with base64, or with addresses of ours."""
        built = images(await adapter.fetch_json(connection, self.endpoint.name, sent, client_params))
        if not built["data"]:
            raise UpstreamFailed(detail=f"{connection.name}: an answer without images")
        if self.usage is not None:
            self.usage.images = len(built["data"])
            meter_tokens(self.usage, built.get("usage") or {})
        if url:
            for image in built["data"]:
                image["url"] = await self._address(request, image.pop("b64_json"))
        return JSONResponse(built)

    async def _address(self, request: APIRequest, b64_json: str) -> str:
        signed = await in_storage_thread(kept.keep, b64_json)
        if signed is None:
            raise UpstreamFailed(detail="an image is none")
        base, _, _ = request.path.partition("/images/")
        return f"{request.origin()}{base}/images/files/{signed}"

    async def respond_with_events(
        self,
        adapter: Adapter,
        connection: ProviderConnection,
        sent: Body,
        asked: Mapping[str, Any],
        client_params: Collection[str],
    ) -> HttpResponseBase:
        """Call the provider and answer with its images as they become clearer."""
        writer = image_writer(self.events, asked)

        async def usage() -> JSON:
            if self.usage is not None:
                self.usage.images = writer.ended
                meter_tokens(self.usage, token_usage(writer.usage) or {})
            return {}

        chunks = adapter.stream_events(connection, self.endpoint.name, sent, client_params)
        return await self.stream(chunks, writer, usage, writer.done)


class ImageGenerationsView(ImagesView):
    endpoint = ENDPOINTS["image_generations"]

    async def post(self, request: APIRequest) -> HttpResponseBase:
        body = await request.json()
        target, connection, adapter = await self.find(await self.name_of(body))
        check_generation(body)
        sent = upstream_body(target, body)
        url = sent.pop("response_format", None) == "url"
        if not answers_with_base64(target):
            sent["response_format"] = "b64_json"
        if body.get("stream"):
            return await self.respond_with_events(adapter, connection, sent, body, body.keys())
        return await self.respond(request, adapter, connection, sent, body.keys(), url=url)


class ImageEditsView(ImagesView):
    endpoint = ENDPOINTS["image_edits"]
    events = "image_edit"
    needs_prompt: ClassVar[bool] = True

    async def post(self, request: APIRequest) -> HttpResponseBase:
        async with multipart_form(request) as form:
            target, connection, adapter = await self.find(await self.name_of({"model": form.get("model")}))
            self._check(form)
            stream = self.needs_prompt and flag(form, "stream")
            asking = None if answers_with_base64(target) else "b64_json"
            sent = self.upstream_form(target, form, response_format=asking, stream="true" if stream else None)
            if stream:
                return await self.respond_with_events(adapter, connection, sent, form.values(), form.names())
            url = form.get("response_format") == "url"
            return await self.respond(request, adapter, connection, sent, form.names(), url=url)

    def _check(self, form: MultipartForm) -> None:
        self.need_files(form, "image")
        if self.needs_prompt and form.get("prompt") is None:
            raise missing("prompt")
        form.integer("n", 1, 10)
        form.integer("partial_images", 0, 3)
        for name, choices in (("response_format", ("url", "b64_json")), ("output_format", OUTPUT_FORMATS)):
            if value := form.get(name):
                one_of(choices)(name, value)


class ImageVariationsView(ImageEditsView):
    endpoint = ENDPOINTS["image_variations"]
    needs_prompt = False


class ImageFileView(AsyncAPIView):
    """An image by its address, whose signature is the permission."""

    authentication = NoAuthentication()

    async def get(self, request: APIRequest, name: str) -> HttpResponse:
        data, ending = await in_storage_thread(kept.fetch, name)
        headers = {
            "cache-control": "private, max-age=3600",
            "x-content-type-options": "nosniff",
            # A drawing may hold scripts, and the admin has the same origin.
            "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        }
        return HttpResponse(data, content_type=media_type(ending), headers=headers)
