"""``POST /audio/speech``."""

from gtapi.json_types import JSON
from inference import tokens
from inference.edge import Delivery, Edge, EventWriter
from inference.endpoints import ENDPOINTS
from inference.endpoints.speech.schema import MEDIA_TYPES, check_speech, speech_writer
from inference.exchange import Exchange
from inference.metering import estimate, meter_tokens
from inference.provider_request import json_request
from inference.schemas.typed_events import TypedWriter, token_usage
from inference.views import InferenceView


class SpeechEdge(Edge):
    def validate(self, exchange: Exchange) -> None:
        check_speech(exchange.body)

    def provider_request(self, exchange: Exchange) -> JSON:
        return json_request(exchange.target, exchange.body)

    def delivery(self, exchange: Exchange) -> Delivery:
        return Delivery.EVENTS if exchange.body.get("stream_format") == "sse" else Delivery.BYTES

    async def event_writer(self, exchange: Exchange) -> TypedWriter:
        return speech_writer()

    async def meter(self, exchange: Exchange, writer: EventWriter) -> JSON:
        text = exchange.body["input"]
        usage = token_usage(writer.usage)
        if usage is None:
            guess = await estimate(exchange.usage, lambda: (tokens.estimate(text), 0))
            usage = {
                "input_tokens": guess["prompt_tokens"],
                "output_tokens": guess["completion_tokens"],
                "total_tokens": guess["total_tokens"],
            }
        exchange.usage.characters = len(text)
        meter_tokens(exchange.usage, usage)
        return usage

    def begin_bytes(self, exchange: Exchange) -> str:
        exchange.usage.characters = len(exchange.body["input"])
        return MEDIA_TYPES[exchange.body.get("response_format") or "mp3"]


class SpeechView(InferenceView):
    endpoint = ENDPOINTS["speech"]
    edge = SpeechEdge()
