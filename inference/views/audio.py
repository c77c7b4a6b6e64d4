"""``POST /audio/speech``, ``/audio/transcriptions`` and ``/audio/translations``."""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any, ClassVar

from django.http import HttpResponse
from django.http.response import HttpResponseBase

from gtapi.errors import UpstreamFailed
from gtapi.validation import model_name, one_of
from gtapi.web.multipart import multipart_form
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse, StreamResponse
from inference import audio_duration, tokens
from inference.endpoints import ENDPOINTS
from inference.endpoints.transcriptions.schema import (
    SPEECH_TYPES,
    TEXT_FORMATS,
    TRANSCRIPT_FORMATS,
    TRANSLATION_FORMATS,
    check_speech,
    speech_writer,
    transcript,
    transcript_writer,
)
from inference.metering import estimate, meter_sound, meter_tokens
from inference.provider_request import upstream_body
from inference.providers.base import Adapter, ProviderConnection
from inference.schemas.typed_events import token_usage
from inference.views.events import EventsView
from inference.views.uploads import UploadView, check_number, flag
from tenants.streaming import metered_bytes

JSON = dict[str, Any]


class SpeechView(EventsView):
    endpoint = ENDPOINTS["speech"]

    async def post(self, request: APIRequest) -> HttpResponseBase:
        body = await request.json()
        target, connection, adapter = await self.find(model_name(body))
        check_speech(body)
        sent = upstream_body(target, body)
        if body.get("stream_format") == "sse":
            return await self._events(adapter, connection, sent, body)
        parts = adapter.stream_bytes(connection, self.endpoint.name, sent, body.keys())
        try:
            first = await anext(parts)
        except StopAsyncIteration:
            raise UpstreamFailed(detail=f"{connection.name}: no sound") from None
        self._meter(body["input"], {})
        self.first_token()
        content_type = SPEECH_TYPES[body.get("response_format") or "mp3"]
        return StreamResponse(metered_bytes(first, parts, self), content_type)

    async def _events(
        self, adapter: Adapter, connection: ProviderConnection, sent: JSON, body: JSON
    ) -> HttpResponseBase:
        writer = speech_writer()

        async def usage() -> JSON:
            used = token_usage(writer.usage)
            if used is None:
                guessed = await estimate(self.usage, lambda: (tokens.estimate(body["input"]), 0))
                used = {
                    "input_tokens": guessed["prompt_tokens"],
                    "output_tokens": guessed["completion_tokens"],
                    "total_tokens": guessed["total_tokens"],
                }
            self._meter(body["input"], used)
            return used

        chunks = adapter.stream_events(connection, self.endpoint.name, sent, body.keys())
        return await self.stream(chunks, writer, usage, writer.done)

    def _meter(self, text: str, usage: JSON) -> None:
        if self.usage is not None:
            self.usage.characters = len(text)
            meter_tokens(self.usage, usage)


class TranscriptionsView(UploadView):
    endpoint = ENDPOINTS["transcriptions"]
    task: ClassVar[str] = "transcribe"
    formats: ClassVar[tuple[str, ...]] = TRANSCRIPT_FORMATS
    streams: ClassVar[bool] = True

    async def post(self, request: APIRequest) -> HttpResponseBase:
        async with multipart_form(request) as form:
            target, connection, adapter = await self.find(model_name({"model": form.get("model")}))
            self.need_files(form, "file")
            response_format = form.get("response_format") or "json"
            one_of(self.formats)("response_format", response_format)
            check_number(form, "temperature", 0, 1)
            stream = self.streams and flag(form, "stream")
            sent = self.upstream_form(target, form, stream="true" if stream else None)
            call = (connection, self.endpoint.name, sent, form.names())
            length_ms = partial(audio_duration.length_ms, form.files_of("file")[0].path)
            if stream:
                return await self._events(adapter.stream_events(*call), await asyncio.to_thread(length_ms))
            if response_format in TEXT_FORMATS:
                text = await adapter.fetch_text(*call)
                await meter_sound(self.usage, {}, length_ms)
                return HttpResponse(text.encode(), content_type="text/plain; charset=utf-8")
            answer = await adapter.fetch_json(*call)
            await meter_sound(self.usage, answer, length_ms)
        return JSONResponse(transcript(answer, response_format, self.task))

    async def _events(self, chunks: AsyncGenerator[list[JSON], None], length_ms: int) -> HttpResponseBase:
        writer = transcript_writer()

        async def usage() -> JSON:
            await meter_sound(self.usage, {"usage": writer.usage}, lambda: length_ms)
            return {}

        return await self.stream(chunks, writer, usage, writer.done)


class TranslationsView(TranscriptionsView):
    endpoint = ENDPOINTS["translations"]
    task = "translate"
    formats = TRANSLATION_FORMATS
    streams = False
