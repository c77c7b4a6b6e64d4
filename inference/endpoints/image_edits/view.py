"""``POST /images/edits``."""

from django.http.response import HttpResponseBase

from gtapi.json_types import JSON
from gtapi.validation import missing, one_of
from inference.edge import Delivery, Edge, EventWriter
from inference.endpoints import ENDPOINTS
from inference.endpoints.image_generations.schema import OUTPUT_FORMATS, image_writer
from inference.endpoints.image_generations.view import base64_parameter, image_response, meter_image_events
from inference.exchange import Exchange
from inference.provider_request import form_request
from inference.providers.base import Form
from inference.schemas.forms import boolean_field, require_files
from inference.schemas.typed_events import TypedWriter
from inference.views import InferenceView


class ImageFormEdge(Edge):
    """The edge of edits and variations: images made from an uploaded one.

    Args:
        is_prompted: whether a prompt is required; such endpoints also have streams of events.
    """

    takes_form = True
    has_default_model = True

    def __init__(self, *, is_prompted: bool) -> None:
        self._is_prompted = is_prompted

    def validate(self, exchange: Exchange) -> None:
        form = exchange.form
        require_files(form, "image")
        if self._is_prompted and form.get("prompt") is None:
            raise missing("prompt")
        form.integer("n", 1, 10)
        form.integer("partial_images", 0, 3)
        for name, choices in (("response_format", ("url", "b64_json")), ("output_format", OUTPUT_FORMATS)):
            if value := form.get(name):
                one_of(choices)(name, value)
        self._is_streamed(exchange)

    def _is_streamed(self, exchange: Exchange) -> bool:
        return self._is_prompted and boolean_field(exchange.form, "stream")

    def provider_request(self, exchange: Exchange) -> Form:
        response_format = base64_parameter(exchange.target)
        stream = "true" if self._is_streamed(exchange) else None
        return form_request(exchange.target, exchange.form, response_format=response_format, stream=stream)

    def delivery(self, exchange: Exchange) -> Delivery:
        return Delivery.EVENTS if self._is_streamed(exchange) else Delivery.JSON

    async def build(self, exchange: Exchange, response: JSON) -> HttpResponseBase:
        return await image_response(exchange, response)

    async def event_writer(self, exchange: Exchange) -> TypedWriter:
        return image_writer("image_edit", exchange.body)

    async def meter(self, exchange: Exchange, writer: EventWriter) -> JSON:
        return meter_image_events(exchange, writer)


class ImageEditsView(InferenceView):
    endpoint = ENDPOINTS["image_edits"]
    edge = ImageFormEdge(is_prompted=True)
