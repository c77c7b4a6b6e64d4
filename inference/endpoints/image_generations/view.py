"""``POST /images/generations``."""

from django.http.response import HttpResponseBase

from files.views.uploads import in_storage_thread
from gtapi.errors import UpstreamFailed
from gtapi.json_types import JSON
from gtapi.web.responses import JSONResponse
from inference import image_storage
from inference.edge import Delivery, Edge, EventWriter
from inference.endpoints import ENDPOINTS
from inference.endpoints.image_generations.schema import check_generation, image_writer, images
from inference.exchange import Exchange
from inference.metering import meter_tokens
from inference.provider_request import json_request
from inference.routing import Target
from inference.schemas.typed_events import TypedWriter, token_usage
from inference.views import InferenceView

#: Models that always respond with base64 and refuse to be asked for it.
ALWAYS_BASE64 = ("gpt-image", "chatgpt-image")


def base64_parameter(target: Target) -> str | None:
    """Return the ``response_format`` that makes a provider respond with base64; None where it may not be sent."""
    return None if any(name in target.raw_model for name in ALWAYS_BASE64) else "b64_json"


async def image_response(exchange: Exchange, response: JSON) -> HttpResponseBase:
    """Meter a response with images and return ours, with base64 or with URLs of stored images."""
    built = images(response)
    if not built["data"]:
        raise UpstreamFailed(detail=f"{exchange.connection.name}: a response without images")
    exchange.usage.images = len(built["data"])
    meter_tokens(exchange.usage, built.get("usage") or {})
    if exchange.body.get("response_format") == "url":
        for image in built["data"]:
            image["url"] = await _stored_url(exchange, image.pop("b64_json"))
    return JSONResponse(built)


async def _stored_url(exchange: Exchange, b64_json: str) -> str:
    signed = await in_storage_thread(image_storage.store, b64_json)
    if signed is None:
        raise UpstreamFailed(detail=f"{exchange.connection.name}: not an image")
    base, _, _ = exchange.request.path.partition("/images/")
    return f"{exchange.request.origin()}{base}/images/files/{signed}"


def meter_image_events(exchange: Exchange, writer: EventWriter) -> JSON:
    """Note the images that a stream has completed; the events bring their own usage."""
    exchange.usage.images = writer.completed if isinstance(writer, TypedWriter) else 0
    meter_tokens(exchange.usage, token_usage(writer.usage) or {})
    return {}


class ImageGenerationsEdge(Edge):
    has_default_model = True

    def validate(self, exchange: Exchange) -> None:
        check_generation(exchange.body)

    def provider_request(self, exchange: Exchange) -> JSON:
        request = json_request(exchange.target, exchange.body)
        request.pop("response_format", None)
        if response_format := base64_parameter(exchange.target):
            request["response_format"] = response_format
        return request

    def delivery(self, exchange: Exchange) -> Delivery:
        return Delivery.EVENTS if exchange.body.get("stream") else Delivery.JSON

    async def build(self, exchange: Exchange, response: JSON) -> HttpResponseBase:
        return await image_response(exchange, response)

    async def event_writer(self, exchange: Exchange) -> TypedWriter:
        return image_writer("image_generation", exchange.body)

    async def meter(self, exchange: Exchange, writer: EventWriter) -> JSON:
        return meter_image_events(exchange, writer)


class ImageGenerationsView(InferenceView):
    endpoint = ENDPOINTS["image_generations"]
    edge = ImageGenerationsEdge()
