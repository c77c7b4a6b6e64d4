"""``POST /audio/speech``, ``/audio/transcriptions`` and ``/audio/translations``."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any, ClassVar

from django.http import HttpResponse
from django.http.response import HttpResponseBase

from gtapi.errors import UpstreamFailed
from gtapi.forms import received_form
from gtapi.request import APIRequest
from gtapi.responses import JSONResponse, Stream
from inference.context import upstream_body
from inference.endpoints import ENDPOINTS
from inference.metering import meter_tokens
from inference.providers.base import Adapter, Form, Upstream
from inference.shapes.audio import (
    SPEECH_TYPES,
    TEXT_FORMATS,
    TRANSCRIPT_FORMATS,
    TRANSLATION_FORMATS,
    check_speech,
    heard_ms,
    speech_writer,
    transcript,
    transcript_writer,
)
from inference.shapes.checks import model_name, one_of
from inference.streaming import chain, metered_bytes
from inference.views.events import EventsView
from inference.views.uploads import UploadView, check_number, flag

JSON = dict[str, Any]
#: Longest transcript that is passed on as text, in bytes.
MAX_TEXT_BYTES = 16 * 1024 * 1024


class SpeechView(EventsView):
    endpoint = ENDPOINTS["speech"]

    async def post(self, request: APIRequest) -> HttpResponseBase:
        body = await request.json()
        name = model_name(body)
        _, upstream, adapter = found = await self.find(name)
        check_speech(body)
        sent = upstream_body(found[0], body)
        if body.get("stream_format") == "sse":
            writer = speech_writer()
            chunks = adapter.events(upstream, self.endpoint.name, sent, body.keys())

            async def usage() -> JSON:
                self._meter(body["input"], writer.usage)
                return {}

            return await self.stream(chunks, writer, usage, done=b"")
        parts = adapter.content(upstream, self.endpoint.name, sent, body.keys())
        try:
            first = await anext(parts)
        except StopAsyncIteration:
            raise UpstreamFailed(detail=f"{upstream.name}: no sound") from None
        self._meter(body["input"], None)
        self.first_token()
        content_type = SPEECH_TYPES[body.get("response_format") or "mp3"]
        return Stream(metered_bytes(chain(first, parts), self), content_type)

    def _meter(self, text: str, usage: JSON | None) -> None:
        if self.entry is not None:
            self.entry.characters = len(text)
            meter_tokens(self.entry, usage or {})


class TranscriptionsView(UploadView):
    endpoint = ENDPOINTS["transcriptions"]
    formats: ClassVar[tuple[str, ...]] = TRANSCRIPT_FORMATS
    streams: ClassVar[bool] = True

    async def post(self, request: APIRequest) -> HttpResponseBase:
        async with AsyncExitStack() as uploads:
            form = await uploads.enter_async_context(received_form(request))
            target, upstream, adapter = await self.find(model_name({"model": form.get("model")}))
            self.need_files(form, "file")
            response_format = form.get("response_format") or "json"
            one_of(self.formats)("response_format", response_format)
            check_number(form, "temperature", 0, 1)
            sent = self.upstream_form(target, form)
            given = {name.removesuffix("[]") for name, _ in form.fields} | {"file"}
            if self.streams and flag(form, "stream"):
                return await self._events(adapter, upstream, sent, given, uploads.pop_all())
            if response_format in TEXT_FORMATS:
                return await self._text(adapter.content(upstream, self.endpoint.name, sent, given))
            answer = await adapter.answer(upstream, self.endpoint.name, sent, given)
        built = transcript(answer, response_format)
        self._meter(built, built.get("usage"))
        return JSONResponse(built)

    async def _events(
        self, adapter: Adapter, upstream: Upstream, sent: Form, given: set[str], uploads: AsyncExitStack
    ) -> HttpResponseBase:
        """Answer with a stream; the upload is kept until the provider has begun to answer."""
        writer = transcript_writer()

        async def usage() -> JSON:
            self._meter({"usage": writer.usage}, writer.usage)
            return {}

        async with uploads:
            return await self.stream(
                adapter.events(upstream, self.endpoint.name, sent, given), writer, usage, done=b""
            )

    async def _text(self, parts: AsyncGenerator[bytes, None]) -> HttpResponse:
        text = bytearray()
        async for part in parts:
            text += part
            if len(text) > MAX_TEXT_BYTES:
                await parts.aclose()
                raise UpstreamFailed(detail="the transcript has no end")
        return HttpResponse(bytes(text), content_type="text/plain; charset=utf-8")

    def _meter(self, answer: JSON, usage: JSON | None) -> None:
        if self.entry is not None:
            self.entry.audio_ms = heard_ms(answer)
            meter_tokens(self.entry, usage or {})


class TranslationsView(TranscriptionsView):
    endpoint = ENDPOINTS["translations"]
    formats = TRANSLATION_FORMATS
    streams = False
