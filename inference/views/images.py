"""``POST /images/generations``, ``/images/edits`` and ``/images/variations``, and what their addresses lead to."""

from typing import Any, ClassVar

from django.http import HttpResponse
from django.http.response import HttpResponseBase

from gtapi.database import in_thread
from gtapi.errors import UpstreamFailed
from gtapi.forms import ReceivedForm, received_form
from gtapi.request import APIRequest
from gtapi.responses import JSONResponse
from gtapi.views import AsyncAPIView
from inference import images as kept
from inference.context import upstream_body
from inference.endpoints import ENDPOINTS
from inference.metering import meter_tokens
from inference.providers.base import Adapter, Body, Upstream
from inference.routing import Target
from inference.shapes.checks import missing, model_name, one_of
from inference.shapes.images import OUTPUT_FORMATS, check_generation, decode, image_writer, images, media_type
from inference.views.uploads import UploadView, check_integer, flag

JSON = dict[str, Any]
#: Models that always answer with base64 and refuse to be asked for it.
ALWAYS_BASE64 = "gpt-image"


class ImagesView(UploadView):
    """What the three routes share."""

    #: How the types of streamed events begin.
    events: ClassVar[str] = "image_generation"

    def asking_for_base64(self, target: Target) -> dict[str, str]:
        """Return what makes the provider answer with the image itself, and not with an address of its own."""
        return {} if ALWAYS_BASE64 in target.raw_model else {"response_format": "b64_json"}

    async def respond(
        self,
        request: APIRequest,
        adapter: Adapter,
        upstream: Upstream,
        sent: Body,
        given: set[str],
        *,
        url: bool,
    ) -> JSONResponse:
        """Call the provider and answer with base64, or with addresses of ours."""
        built = images(await adapter.answer(upstream, self.endpoint.name, sent, given))
        if not built["data"]:
            raise UpstreamFailed(detail=f"{upstream.name}: an answer without images")
        if self.entry is not None:
            self.entry.images = len(built["data"])
            meter_tokens(self.entry, built.get("usage") or {})
        if url:
            for image in built["data"]:
                image["url"] = await self._address(request, image.pop("b64_json"))
        return JSONResponse(built)

    async def _address(self, request: APIRequest, b64_json: str) -> str:
        decoded = decode(b64_json)
        if decoded is None:
            raise UpstreamFailed(detail="an image is none")
        signed = await in_thread(kept.keep, *decoded)
        base, _, _ = request.path.partition("/images/")
        return f"{request.origin()}{base}/images/files/{signed}"

    async def respond_with_events(
        self, adapter: Adapter, upstream: Upstream, sent: Body, given: set[str]
    ) -> HttpResponseBase:
        """Call the provider and answer with its images as they become clearer."""
        writer = image_writer(self.events)

        async def usage() -> JSON:
            if self.entry is not None:
                self.entry.images = writer.ended
                meter_tokens(self.entry, writer.usage or {})
            return {}

        chunks = adapter.events(upstream, self.endpoint.name, sent, given)
        return await self.stream(chunks, writer, usage, done=b"")


class ImageGenerationsView(ImagesView):
    endpoint = ENDPOINTS["image_generations"]

    async def post(self, request: APIRequest) -> HttpResponseBase:
        body = await request.json()
        target, upstream, adapter = await self.find(model_name(body))
        check_generation(body)
        sent = upstream_body(target, body)
        url = sent.pop("response_format", None) == "url"
        sent |= self.asking_for_base64(target)
        if body.get("stream"):
            return await self.respond_with_events(adapter, upstream, sent, set(body))
        return await self.respond(request, adapter, upstream, sent, set(body), url=url)


class ImageEditsView(ImagesView):
    endpoint = ENDPOINTS["image_edits"]
    events = "image_edit"
    needs_prompt: ClassVar[bool] = True

    async def post(self, request: APIRequest) -> HttpResponseBase:
        async with received_form(request) as form:
            target, upstream, adapter = await self.find(model_name({"model": form.get("model")}))
            self._check(form)
            sent = self.upstream_form(target, form, **self.asking_for_base64(target))
            given = {name.removesuffix("[]") for name, _ in form.fields} | {"image", "mask"}
            if self.needs_prompt and flag(form, "stream"):
                return await self.respond_with_events(adapter, upstream, sent, given)
            url = form.get("response_format") == "url"
            return await self.respond(request, adapter, upstream, sent, given, url=url)

    def _check(self, form: ReceivedForm) -> None:
        self.need_files(form, "image")
        if self.needs_prompt and form.get("prompt") is None:
            raise missing("prompt")
        check_integer(form, "n", 1, 10)
        check_integer(form, "partial_images", 0, 3)
        for name, choices in (("response_format", ("url", "b64_json")), ("output_format", OUTPUT_FORMATS)):
            if value := form.get(name):
                one_of(choices)(name, value)


class ImageVariationsView(ImageEditsView):
    endpoint = ENDPOINTS["image_variations"]
    needs_prompt = False


class Anyone:
    """Asks for no key: the signature in the address is the permission."""

    async def authenticate(self, request: APIRequest) -> None:
        return None


class ImageFileView(AsyncAPIView):
    authentication = Anyone()

    async def get(self, request: APIRequest, name: str) -> HttpResponse:
        data, ending = await in_thread(kept.fetch, name)
        headers = {"cache-control": "private, max-age=3600", "x-content-type-options": "nosniff"}
        return HttpResponse(data, content_type=media_type(ending), headers=headers)
