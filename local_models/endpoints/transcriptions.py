"""``POST /v1/audio/transcriptions`` and ``POST /v1/audio/translations``.

The model understands English only, so that a translation into English is what was said.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from aiohttp import web

from local_models import sse
from local_models.endpoints.base import Endpoint
from local_models.errors import InvalidRequestError
from local_models.fields import Body, boolean, choice, number
from local_models.multipart import Form, received
from local_models.responses import json_response
from local_models.transcription.model import Whisper
from local_models.transcription.transcript import TEXTS, Segment, Transcript, brief, verbose

FORMATS = ("json", "verbose_json", *TEXTS)
GRANULARITIES = ("segment", "word")
#: Names of the one language that the model knows.
ENGLISH = ("en", "english", "eng")
MAX_PROMPT = 10_000


async def answer(request: web.Request, model: Whisper, task: str = "transcribe") -> web.StreamResponse:
    """Write down what is said in a recording, whole or as a stream."""
    async with received(request, model, files=("file",)) as form:
        body = form.body(numbers=("temperature",), booleans=("stream",))
        wanted = choice(body, "response_format", FORMATS, "json")
        granularities = _granularities(form, wanted)
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
        if wanted in TEXTS:
            return web.Response(text=TEXTS[wanted](transcript), content_type="text/plain")
        if wanted == "verbose_json":
            return json_response(verbose(transcript, task, granularities))
        return json_response(brief(transcript))


TRANSCRIPTIONS = Endpoint(Whisper, answer)
TRANSLATIONS = Endpoint(Whisper, partial(answer, task="translate"))


async def _events(
    segments: AsyncGenerator[Segment, None], transcript: Transcript
) -> AsyncGenerator[dict[str, Any], None]:
    begun = False
    async with aclosing(segments):
        async for segment in segments:
            text = segment.text if begun else segment.text.lstrip()
            begun = True
            yield {"type": "transcript.text.delta", "delta": text}
    yield {"type": "transcript.text.done", "text": transcript.text, "usage": transcript.tokens()}


def _granularities(form: Form, wanted: str) -> Sequence[str]:
    """Return which times the client wants: those of segments unless it says."""
    given = form.fields.get("timestamp_granularities") or ["segment"]
    if not set(given) <= set(GRANULARITIES):
        raise InvalidRequestError(
            f"'timestamp_granularities' may hold: {', '.join(GRANULARITIES)}.",
            param="timestamp_granularities",
        )
    return given if wanted == "verbose_json" else ()


def _check_language(body: Body, task: str) -> None:
    """Refuse a recording that is said to be in another language; a translation has no such field."""
    language = body.get("language", "en").lower().replace("_", "-").partition("-")[0]
    if task == "transcribe" and language not in ENGLISH:
        raise InvalidRequestError(
            "This model understands English only: 'language' has to be 'en'.", param="language"
        )


def _prompt(body: Body) -> str:
    prompt: str = body.get("prompt", "")
    if len(prompt) > MAX_PROMPT:
        raise InvalidRequestError(f"'prompt' may have at most {MAX_PROMPT} characters.", param="prompt")
    return prompt
