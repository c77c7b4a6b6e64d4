"""``POST /audio/transcriptions``."""

import asyncio
from collections.abc import Collection
from functools import partial
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase

from gtapi.json_types import JSON
from gtapi.validation import one_of
from gtapi.web.responses import JSONResponse
from inference import audio_duration
from inference.edge import Delivery, Edge, EventWriter
from inference.endpoints import ENDPOINTS
from inference.endpoints.transcriptions.schema import (
    TEXT_FORMATS,
    TRANSCRIPT_FORMATS,
    transcript,
    transcript_writer,
)
from inference.exchange import Exchange
from inference.metering import meter_audio
from inference.provider_request import form_request
from inference.providers.base import Form
from inference.schemas.forms import boolean_field, check_number, require_files
from inference.schemas.typed_events import TypedWriter
from inference.views import InferenceView


class TranscriptEdge(Edge):
    """The edge of transcriptions and translations.

    Args:
        task: what the model does: ``transcribe`` or ``translate``.
        formats: the values of ``response_format``.
        can_stream: whether the endpoint has streams of events.
    """

    takes_form = True

    def __init__(self, task: str, formats: Collection[str], *, can_stream: bool) -> None:
        self._task = task
        self._formats = formats
        self._can_stream = can_stream

    def validate(self, exchange: Exchange) -> None:
        require_files(exchange.form, "file")
        one_of(self._formats)("response_format", self._format(exchange))
        check_number(exchange.form, "temperature", 0, 1)
        self._is_streamed(exchange)

    def _format(self, exchange: Exchange) -> str:
        return exchange.body.get("response_format") or "json"

    def _is_streamed(self, exchange: Exchange) -> bool:
        return self._can_stream and boolean_field(exchange.form, "stream")

    def provider_request(self, exchange: Exchange) -> Form:
        stream = "true" if self._is_streamed(exchange) else None
        return form_request(exchange.target, exchange.form, stream=stream)

    def delivery(self, exchange: Exchange) -> Delivery:
        if self._is_streamed(exchange):
            return Delivery.EVENTS
        return Delivery.TEXT if self._format(exchange) in TEXT_FORMATS else Delivery.JSON

    async def build(self, exchange: Exchange, response: Any) -> HttpResponseBase:
        file_ms = partial(audio_duration.length_ms, exchange.form.files_of("file")[0].path)
        if isinstance(response, str):
            await meter_audio(exchange.usage, {}, file_ms)
            return HttpResponse(response.encode(), content_type="text/plain; charset=utf-8")
        await meter_audio(exchange.usage, response, file_ms)
        return JSONResponse(transcript(response, self._format(exchange), self._task))

    async def event_writer(self, exchange: Exchange) -> TypedWriter:
        # The file is gone when the stream ends.
        path = exchange.form.files_of("file")[0].path
        exchange.recording_ms = await asyncio.to_thread(audio_duration.length_ms, path)
        return transcript_writer()

    async def meter(self, exchange: Exchange, writer: EventWriter) -> JSON:
        await meter_audio(exchange.usage, {"usage": writer.usage}, lambda: exchange.recording_ms)
        return {}


class TranscriptionsView(InferenceView):
    endpoint = ENDPOINTS["transcriptions"]
    edge = TranscriptEdge("transcribe", TRANSCRIPT_FORMATS, can_stream=True)
