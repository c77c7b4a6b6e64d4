"""The shapes of the routes under ``/audio`` (audio/createSpeech, createTranscription, createTranslation)."""

from typing import Any

from inference.shapes.checks import (
    Check,
    invalid,
    missing,
    number,
    of_type,
    one_of,
    run,
    wrong_type,
)
from inference.shapes.typed_events import (
    Fields,
    TypedWriter,
    among,
    integers,
    like,
    pick,
    token_logprobs,
    usage,
)

JSON = dict[str, Any]

#: The media type of each format that speech comes in.
SPEECH_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
MAX_SPEECH_INPUT = 4096
#: Formats of a transcript that are plain text.
TEXT_FORMATS = ("text", "srt", "vtt")
TRANSCRIPT_FORMATS = ("json", *TEXT_FORMATS, "verbose_json", "diarized_json")
TRANSLATION_FORMATS = ("json", *TEXT_FORMATS, "verbose_json")


def _voice(name: str, value: Any) -> None:
    if not isinstance(value, str | dict):
        raise wrong_type(name, "a string or an object", value)


_SPEECH_CHECKS: dict[str, Check] = {
    "voice": _voice,
    "instructions": of_type(str),
    "response_format": one_of(SPEECH_TYPES),
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
        raise invalid("input", "it is empty")
    if len(text) > MAX_SPEECH_INPUT:
        raise invalid("input", f"expected at most {MAX_SPEECH_INPUT} characters, but got {len(text)}")
    if body.get("voice") is None:
        raise missing("voice")
    run(_SPEECH_CHECKS, body)


def speech_writer() -> TypedWriter:
    """Return what writes streamed speech."""
    types: dict[str, Fields] = {"speech.audio.delta": {"audio": str}, "speech.audio.done": {}}
    return TypedWriter(types, frozenset({"speech.audio.done"}))


_segment_id = like(r"(seg(ment)?_?)?\d{1,9}")


def _any_segment_id(value: Any) -> bool:
    return type(value) is int or _segment_id(value)


_SEGMENT: Fields = {
    "id": _any_segment_id,
    "seek": int,
    "start": (int, float),
    "end": (int, float),
    "text": str,
    "tokens": integers,
    "temperature": (int, float),
    "avg_logprob": (int, float),
    "compression_ratio": (int, float),
    "no_speech_prob": (int, float),
    "speaker": str,
    "type": among("transcript.text.segment"),
}
#: What strict clients ask of each segment, where the provider left it out.
_SEGMENT_DEFAULTS: JSON = {
    "id": 0,
    "seek": 0,
    "start": 0.0,
    "end": 0.0,
    "text": "",
    "tokens": [],
    "temperature": 0.0,
    "avg_logprob": 0.0,
    "compression_ratio": 0.0,
    "no_speech_prob": 0.0,
}
_WORD: Fields = {"word": str, "start": (int, float), "end": (int, float)}


def transcript(answer: JSON, response_format: str) -> JSON:
    """Return a transcript in one of the formats that are JSON."""
    built: JSON = {"text": answer["text"]}
    if response_format != "json":
        built |= pick(
            answer, {"task": among("transcribe", "translate"), "language": like(r"[A-Za-z][A-Za-z -]{1,40}")}
        )
        built["duration"] = _number(answer.get("duration"))
        segments = answer.get("segments")
        if isinstance(segments, list):
            defaults = _SEGMENT_DEFAULTS if response_format == "verbose_json" else {}
            built["segments"] = [{**defaults, **pick(segment, _SEGMENT)} for segment in segments]
        if isinstance(answer.get("words"), list):
            built["words"] = [pick(word, _WORD) for word in answer["words"]]
    if isinstance(answer.get("logprobs"), list):
        built["logprobs"] = token_logprobs(answer["logprobs"])
    if (used := usage(answer.get("usage"))) is not None:
        built["usage"] = used
    if response_format == "verbose_json":
        built.setdefault("language", "")
    return built


def transcript_writer() -> TypedWriter:
    """Return what writes a streamed transcript."""
    types: dict[str, Fields] = {
        "transcript.text.delta": {"delta": str, "logprobs": list, "segment_id": _segment_id},
        "transcript.text.segment": {
            "id": _segment_id,
            "start": (int, float),
            "end": (int, float),
            "text": str,
            "speaker": str,
        },
        "transcript.text.done": {"text": str, "logprobs": list},
    }
    return TypedWriter(types, frozenset({"transcript.text.done"}))


def heard_ms(answer: JSON) -> int:
    """Return how much sound a transcript says that it is of, in milliseconds; 0 where it does not say."""
    used = answer.get("usage") or {}
    return int(1000 * (_number(answer.get("duration")) or _number(used.get("seconds"))))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
