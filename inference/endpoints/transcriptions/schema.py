"""The shapes of the routes under ``/audio`` (audio/createSpeech, createTranscription, createTranslation)."""

from typing import Any

from gtapi.validation import Validator, invalid, missing, number, of_type, one_of, validate, wrong_type
from inference.schemas.typed_events import (
    NUMBER,
    Fields,
    TypedWriter,
    integers,
    like,
    pick,
    token_details,
    token_usage,
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
#: Nothing is as long as this.
MAX_SECONDS = 1e9
#: Formats of a transcript that are plain text.
TEXT_FORMATS = ("text", "srt", "vtt")
TRANSCRIPT_FORMATS = ("json", *TEXT_FORMATS, "verbose_json", "diarized_json")
TRANSLATION_FORMATS = ("json", *TEXT_FORMATS, "verbose_json")


def _voice(name: str, value: Any) -> None:
    if not isinstance(value, str | dict):
        raise wrong_type(name, "a string or an object", value)


_SPEECH_CHECKS: dict[str, Validator] = {
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
        raise invalid("input", "it must not be empty")
    if len(text) > MAX_SPEECH_INPUT:
        raise invalid("input", f"expected at most {MAX_SPEECH_INPUT} characters, but got {len(text)}")
    if body.get("voice") is None:
        raise missing("voice")
    validate(_SPEECH_CHECKS, body)


def speech_writer() -> TypedWriter:
    """Return what writes streamed speech."""
    return TypedWriter({"speech.audio.delta": _sound, "speech.audio.done": _sound_done}, "speech.audio.done")


def _sound(event: JSON) -> JSON | None:
    return pick(event, {"audio": str}) or None


def _sound_done(event: JSON) -> JSON:
    used = token_usage(event.get("usage"))
    return {"usage": used} if used else {}


_WORD: Fields = {"word": str, "start": NUMBER, "end": NUMBER}
_SEGMENT: Fields = {
    "id": int,
    "seek": int,
    "start": NUMBER,
    "end": NUMBER,
    "text": str,
    "tokens": integers,
    "temperature": NUMBER,
    "avg_logprob": NUMBER,
    "compression_ratio": NUMBER,
    "no_speech_prob": NUMBER,
}
#: What strict clients ask of each segment, where the provider left it out.
_SEGMENT_DEFAULTS: JSON = {
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
_SPOKEN: Fields = {"start": NUMBER, "end": NUMBER, "text": str, "speaker": str}
_SPOKEN_DEFAULTS: JSON = {
    "type": "transcript.text.segment",
    "start": 0.0,
    "end": 0.0,
    "text": "",
    "speaker": "A",
}
_LOGPROB: Fields = {"token": str, "logprob": NUMBER, "bytes": integers}
_language = like(r"[A-Za-z][A-Za-z -]{1,40}")


def transcript(answer: JSON, response_format: str, task: str) -> JSON:
    """Return a transcript in one of the formats that are JSON.

    Args:
        answer: what the provider said.
        response_format: what the client asked for.
        task: ``transcribe`` or ``translate``.
    """
    if response_format == "verbose_json":
        return _verbose(answer, task)
    if response_format == "diarized_json":
        return _diarized(answer, task)
    built: JSON = {"text": answer["text"]}
    if isinstance(answer.get("logprobs"), list):
        built["logprobs"] = _logprobs(answer["logprobs"])
    if isinstance(answer.get("languages"), list):
        built["languages"] = _languages(answer["languages"])
    return built | _usage(answer, durations=True)


def _verbose(answer: JSON, task: str) -> JSON:
    language = answer.get("language")
    built: JSON = {
        "task": task,
        "language": language if _language(language) else "",
        "duration": seconds(answer.get("duration")),
        "text": answer["text"],
    }
    if isinstance(answer.get("segments"), list):
        built["segments"] = [
            {"id": at, **_SEGMENT_DEFAULTS, **pick(segment, _SEGMENT)}
            for at, segment in enumerate(answer["segments"])
        ]
    if isinstance(answer.get("words"), list):
        words = [pick(word, _WORD) for word in answer["words"]]
        built["words"] = [{"start": 0.0, "end": 0.0, **word} for word in words if "word" in word]
    # OpenAI's types know only seconds here.
    return built | _usage(answer, tokens=False, durations=True)


def _diarized(answer: JSON, task: str) -> JSON:
    segments = answer.get("segments")
    return {
        "task": task,
        "duration": seconds(answer.get("duration")),
        "text": answer["text"],
        "segments": [
            {**_SPOKEN_DEFAULTS, **pick(segment, _SPOKEN), "id": f"seg_{at}"}
            for at, segment in enumerate(segments if isinstance(segments, list) else ())
        ],
    } | _usage(answer, durations=True)


def _usage(answer: JSON, *, tokens: bool = True, durations: bool = False) -> JSON:
    """Return the usage of a transcript, of the kinds that the client's types know; empty for none."""
    given = answer.get("usage")
    if durations and isinstance(given, dict) and given.get("type") == "duration":
        return {"usage": {"type": "duration", "seconds": seconds(given.get("seconds"))}}
    used = token_usage(given) if tokens else None
    if used is None or not isinstance(given, dict):
        return {}
    if isinstance(given.get("input_token_details"), dict):
        used["input_token_details"] = token_details(
            given["input_token_details"], ("audio_tokens", "text_tokens")
        )
    return {"usage": {"type": "tokens", **used}}


def _logprobs(given: Any) -> list[JSON]:
    tokens = given if isinstance(given, list) else []
    return [pick(token, _LOGPROB) for token in tokens if isinstance(token, dict)]


def _languages(given: list[Any]) -> list[JSON]:
    codes = [pick(language, {"code": _language}) for language in given]
    return [code for code in codes if code]


class _TranscriptEvents:
    """Builds the events of a streamed transcript; segments get ids of ours, the same one for the same segment."""

    def __init__(self) -> None:
        self._segments: dict[str, str] = {}

    def delta(self, event: JSON) -> JSON | None:
        if not isinstance(event.get("delta"), str):
            return None
        built: JSON = {"delta": event["delta"], **self._logprobs(event)}
        if isinstance(event.get("segment_id"), str):
            built["segment_id"] = self._segment(event["segment_id"])
        return built

    def segment(self, event: JSON) -> JSON | None:
        if not isinstance(event.get("text"), str):
            return None
        return {**_SPOKEN_DEFAULTS, **pick(event, _SPOKEN), "id": self._segment(str(event.get("id")))}

    def done(self, event: JSON) -> JSON | None:
        if not isinstance(event.get("text"), str):
            return None
        built: JSON = {"text": event["text"], **self._logprobs(event)}
        if isinstance(event.get("languages"), list):
            built["languages"] = _languages(event["languages"])
        return built | _usage(event)

    def _logprobs(self, event: JSON) -> JSON:
        given = event.get("logprobs")
        return {"logprobs": _logprobs(given)} if isinstance(given, list) else {}

    def _segment(self, upstream_id: str) -> str:
        return self._segments.setdefault(upstream_id, f"seg_{len(self._segments)}")


def transcript_writer() -> TypedWriter:
    """Return what writes a streamed transcript."""
    events = _TranscriptEvents()
    builds = {
        "transcript.text.delta": events.delta,
        "transcript.text.segment": events.segment,
        "transcript.text.done": events.done,
    }
    return TypedWriter(builds, "transcript.text.done")


def heard_ms(answer: JSON) -> int:
    """Return how much sound a provider says that it heard, in milliseconds; 0 where it does not say."""
    used = answer.get("usage")
    said = seconds(used.get("seconds")) if isinstance(used, dict) else 0.0
    return int(1000 * (seconds(answer.get("duration")) or said))


def seconds(value: Any) -> float:
    """Return a length of time; what cannot be one is 0. Some servers write it as a text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return 0.0
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < MAX_SECONDS:
        return float(value)
    return 0.0
