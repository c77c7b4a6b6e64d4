"""``POST /v1/audio/speech``."""

import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from aiohttp import web

from local_models import sse
from local_models.endpoints.base import ModelEndpoint
from local_models.errors import InvalidRequestError
from local_models.fields import Body, choice, json_body, missing_parameter, number, text
from local_models.speech.model import SpeechModel, SpeechRequest
from local_models.usage import AUDIO_TOKENS_PER_SECOND, count_words, usage

MAX_INPUT = 4096
#: Format -> media type.
MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


async def speak(request: web.Request, model: SpeechModel) -> web.StreamResponse:
    """Speak a text, as a file or as events."""
    body = await json_body(request, model)
    speech = SpeechRequest(
        text=text(body, "input", MAX_INPUT),
        voice=_voice(body),
        response_format=choice(body, "response_format", MEDIA_TYPES, "mp3"),
        speed=number(body, "speed", 0.25, 4) or 1.0,
    )
    stream_format = choice(body, "stream_format", ("audio", "sse"), "audio")
    parts = model.speak(speech)
    if stream_format == "sse":
        return await sse.stream(request, _events(speech, parts), typed=True)
    return await _file(request, parts, MEDIA_TYPES[speech.response_format])


ENDPOINT = ModelEndpoint(SpeechModel, speak)


async def _file(
    request: web.Request, parts: AsyncGenerator[bytes, None], content_type: str
) -> web.StreamResponse:
    """Send a file as it is made. The status waits for its first part."""
    async with aclosing(parts):
        first = await anext(parts)
        response = web.StreamResponse(headers={"content-type": content_type})
        await response.prepare(request)
        await response.write(first)
        async for part in parts:
            await response.write(part)
    await response.write_eof()
    return response


async def _events(
    speech: SpeechRequest, parts: AsyncGenerator[bytes, None]
) -> AsyncGenerator[dict[str, Any], None]:
    async with aclosing(parts):
        async for part in parts:
            yield {"type": "speech.audio.delta", "audio": base64.b64encode(part).decode()}
    tokens = round(speech.seconds * AUDIO_TOKENS_PER_SECOND)
    yield {"type": "speech.audio.done", "usage": usage(count_words(speech.text), tokens)}


def _voice(body: Body) -> str:
    """Return the name of a voice: OpenAI also accepts an object with an ``id``."""
    voice = body.get("voice")
    if isinstance(voice, dict):
        voice = voice.get("id")
    if voice is None:
        raise missing_parameter("voice")
    if not isinstance(voice, str):
        raise InvalidRequestError("'voice' must be a string, or an object with an 'id'.", param="voice")
    return voice
