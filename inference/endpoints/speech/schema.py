"""Schema of speech: OpenAI's audio/createSpeech."""

from typing import Any

from gtapi.json_types import JSON
from gtapi.validation import Validator, invalid, missing, number, of_type, one_of, validate, wrong_type
from inference.schemas.typed_events import TypedWriter, pick, token_usage

#: The media type of each format.
MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
MAX_INPUT = 4096


def _voice(name: str, value: Any) -> None:
    if not isinstance(value, str | dict):
        raise wrong_type(name, "a string or an object", value)


_CHECKS: dict[str, Validator] = {
    "voice": _voice,
    "instructions": of_type(str),
    "response_format": one_of(MEDIA_TYPES),
    "speed": number(0.25, 4),
    "stream_format": one_of(("audio", "sse")),
}


def check_speech(body: JSON) -> None:
    """Refuse what OpenAI refuses, naming the parameter."""
    text = body.get("input")
    if text is None:
        raise missing("input")
    of_type(str)("input", text)
    if not text:
        raise invalid("input", "it must not be empty")
    if len(text) > MAX_INPUT:
        raise invalid("input", f"expected at most {MAX_INPUT} characters, but got {len(text)}")
    if body.get("voice") is None:
        raise missing("voice")
    validate(_CHECKS, body)


def speech_writer() -> TypedWriter:
    """Return the writer of streamed speech."""
    return TypedWriter({"speech.audio.delta": _delta, "speech.audio.done": _done}, "speech.audio.done")


def _delta(event: JSON) -> JSON | None:
    return pick(event, {"audio": str}) or None


def _done(event: JSON) -> JSON:
    usage = token_usage(event.get("usage"))
    return {"usage": usage} if usage else {}
