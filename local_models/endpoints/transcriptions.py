"""``POST /v1/audio/transcriptions`` and ``POST /v1/audio/translations``.

The model understands English only, so a translation into English equals the transcription.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from aiohttp import web

from local_models import sse
from local_models.endpoints.base import ModelEndpoint
from local_models.errors import InvalidRequestError
from local_models.fields import Body, boolean, choice, number
from local_models.multipart import UploadForm, receive_form
from local_models.responses import json_response
from local_models.transcription.model import TranscriptionModel
from local_models.transcription.transcript import (
    TEXTS,
    Transcript,
    TranscriptSegment,
    json_format,
    verbose_json_format,
)

FORMATS = ("json", "verbose_json", *TEXTS)
GRANULARITIES = ("segment", "word")
#: Accepted names of the model's only language.
ENGLISH = ("en", "english", "eng")
MAX_PROMPT = 10_000


async def transcribe(
    request: web.Request, model: TranscriptionModel, task: str = "transcribe"
) -> web.StreamResponse:
    """Transcribe a recording, as one response or as a stream."""
    async with receive_form(request, model, files=("file",)) as form:
        body = form.body(numbers=("temperature",), booleans=("stream",))
        response_format = choice(body, "response_format", FORMATS, "json")
        granularities = _granularities(form, response_format)
        _check_language(body, task)
        transcript = Transcript()
        segments = model.segments(
            form.file("file"),
            transcript,
            prompt=_prompt(body),
            temperature=number(body, "temperature", 0, 1) or 0.0,
            words="word" in granularities,
        )
        if task == "transcribe" and boolean(body, "stream"):
            return await sse.stream(request, _events(segments, transcript), typed=True)
        async with aclosing(segments):
            async for _ in segments:
                pass
        if response_format in TEXTS:
            return web.Response(text=TEXTS[response_format](transcript), content_type="text/plain")
        if response_format == "verbose_json":
            return json_response(verbose_json_format(transcript, task, granularities))
        return json_response(json_format(transcript))


TRANSCRIPTIONS = ModelEndpoint(TranscriptionModel, transcribe)
TRANSLATIONS = ModelEndpoint(TranscriptionModel, partial(transcribe, task="translate"))


async def _events(
    segments: AsyncGenerator[TranscriptSegment, None], transcript: Transcript
) -> AsyncGenerator[dict[str, Any], None]:
    is_first = True
    async with aclosing(segments):
        async for segment in segments:
            text = segment.text.lstrip() if is_first else segment.text
            is_first = False
            yield {"type": "transcript.text.delta", "delta": text}
    yield {"type": "transcript.text.done", "text": transcript.text, "usage": transcript.tokens()}


def _granularities(form: UploadForm, response_format: str) -> Sequence[str]:
    """Return the requested timestamps, those of segments by default."""
    requested = form.fields.get("timestamp_granularities") or ["segment"]
    if not set(requested) <= set(GRANULARITIES):
        raise InvalidRequestError(
            f"'timestamp_granularities' must be any of: {', '.join(GRANULARITIES)}.",
            param="timestamp_granularities",
        )
    return requested if response_format == "verbose_json" else ()


def _check_language(body: Body, task: str) -> None:
    """Refuse other languages than English; translations have no such field."""
    language = body.get("language", "en").lower().replace("_", "-").partition("-")[0]
    if task == "transcribe" and language not in ENGLISH:
        raise InvalidRequestError(
            "This model understands English only: 'language' must be 'en'.", param="language"
        )


def _prompt(body: Body) -> str:
    prompt: str = body.get("prompt", "").strip()
    if len(prompt) > MAX_PROMPT:
        raise InvalidRequestError(f"'prompt' must have at most {MAX_PROMPT} characters.", param="prompt")
    return prompt
