"""``POST /v1/audio/speech``."""

import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from aiohttp import web

from local_models import sse
from local_models.endpoints.base import Endpoint
from local_models.errors import InvalidRequestError
from local_models.fields import Body, absent, choice, json_body, number, text
from local_models.speech.model import Speaker, Speech
from local_models.usage import usage, words

MAX_INPUT = 4096
#: What counts as a token of sound: a fiftieth of a second, as for the transcription model.
TOKENS_A_SECOND = 50
#: Format -> media type.
TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


async def answer(request: web.Request, model: Speaker) -> web.StreamResponse:
    """Say a text, as a file or as events."""
    body = await json_body(request, model)
    speech = Speech(
        text=text(body, "input", MAX_INPUT),
        voice=_voice(body),
        form=choice(body, "response_format", TYPES, "mp3"),
        speed=number(body, "speed", 0.25, 4) or 1.0,
    )
    stream_format = choice(body, "stream_format", ("audio", "sse"), "audio")
    pieces = model.speak(speech)
    if stream_format == "sse":
        return await sse.stream(request, _events(speech, pieces), typed=True)
    return await _file(request, pieces, TYPES[speech.form])


ENDPOINT = Endpoint(Speaker, answer)


async def _file(
    request: web.Request, pieces: AsyncGenerator[bytes, None], content_type: str
) -> web.StreamResponse:
    """Send a file as it is made. The status waits for its first piece."""
    async with aclosing(pieces):
        first = await anext(pieces)
        response = web.StreamResponse(headers={"content-type": content_type})
        await response.prepare(request)
        await response.write(first)
        async for piece in pieces:
            await response.write(piece)
    await response.write_eof()
    return response


async def _events(
    speech: Speech, pieces: AsyncGenerator[bytes, None]
) -> AsyncGenerator[dict[str, Any], None]:
    async with aclosing(pieces):
        async for piece in pieces:
            yield {"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()}
    heard = round(speech.seconds * TOKENS_A_SECOND)
    yield {"type": "speech.audio.done", "usage": usage(words(speech.text), heard)}


def _voice(body: Body) -> str:
    """Return the name of a voice: OpenAI also takes an object with an ``id``."""
    voice = body.get("voice")
    if isinstance(voice, dict):
        voice = voice.get("id")
    if voice is None:
        raise absent("voice")
    if not isinstance(voice, str):
        raise InvalidRequestError("'voice' has to be a string, or an object with an 'id'.", param="voice")
    return voice
