"""Schema of transcripts: OpenAI's audio/createTranscription and audio/createTranslation."""

from typing import Any

from gtapi.json_types import JSON
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

#: Longer durations are taken for an error of the provider.
MAX_SECONDS = 1e9
#: Formats of a transcript that are plain text.
TEXT_FORMATS = ("text", "srt", "vtt")
TRANSCRIPT_FORMATS = ("json", *TEXT_FORMATS, "verbose_json", "diarized_json")
TRANSLATION_FORMATS = ("json", *TEXT_FORMATS, "verbose_json")


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
#: What strict clients require of each segment, where the provider left it out.
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
_SPEAKER_SEGMENT: Fields = {"start": NUMBER, "end": NUMBER, "text": str, "speaker": str}
_SPEAKER_SEGMENT_DEFAULTS: JSON = {
    "type": "transcript.text.segment",
    "start": 0.0,
    "end": 0.0,
    "text": "",
    "speaker": "A",
}
_LOGPROB: Fields = {"token": str, "logprob": NUMBER, "bytes": integers}
_language = like(r"[A-Za-z][A-Za-z -]{1,40}")


def transcript(response: JSON, response_format: str, task: str) -> JSON:
    """Return a transcript in one of the JSON formats.

    Args:
        response: the provider's response.
        response_format: the format that the client asked for.
        task: ``transcribe`` or ``translate``.
    """
    if response_format == "verbose_json":
        return _verbose(response, task)
    if response_format == "diarized_json":
        return _diarized(response, task)
    built: JSON = {"text": response["text"]}
    if isinstance(response.get("logprobs"), list):
        built["logprobs"] = _logprobs(response["logprobs"])
    if isinstance(response.get("languages"), list):
        built["languages"] = _languages(response["languages"])
    return built | _usage(response, durations=True)


def _verbose(response: JSON, task: str) -> JSON:
    language = response.get("language")
    built: JSON = {
        "task": task,
        "language": language if _language(language) else "",
        "duration": seconds(response.get("duration")),
        "text": response["text"],
    }
    if isinstance(response.get("segments"), list):
        built["segments"] = [
            {"id": at, **_SEGMENT_DEFAULTS, **pick(segment, _SEGMENT)}
            for at, segment in enumerate(response["segments"])
        ]
    if isinstance(response.get("words"), list):
        words = [pick(word, _WORD) for word in response["words"]]
        built["words"] = [{"start": 0.0, "end": 0.0, **word} for word in words if "word" in word]
    # OpenAI's types know only seconds here.
    return built | _usage(response, tokens=False, durations=True)


def _diarized(response: JSON, task: str) -> JSON:
    segments = response.get("segments")
    return {
        "task": task,
        "duration": seconds(response.get("duration")),
        "text": response["text"],
        "segments": [
            {**_SPEAKER_SEGMENT_DEFAULTS, **pick(segment, _SPEAKER_SEGMENT), "id": f"seg_{at}"}
            for at, segment in enumerate(segments if isinstance(segments, list) else ())
        ],
    } | _usage(response, durations=True)


def _usage(response: JSON, *, tokens: bool = True, durations: bool = False) -> JSON:
    """Return the usage of a transcript, of the kinds that the client's types know; empty for none."""
    usage = response.get("usage")
    if durations and isinstance(usage, dict) and usage.get("type") == "duration":
        return {"usage": {"type": "duration", "seconds": seconds(usage.get("seconds"))}}
    used = token_usage(usage) if tokens else None
    if used is None or not isinstance(usage, dict):
        return {}
    if isinstance(usage.get("input_token_details"), dict):
        used["input_token_details"] = token_details(
            usage["input_token_details"], ("audio_tokens", "text_tokens")
        )
    return {"usage": {"type": "tokens", **used}}


def _logprobs(value: Any) -> list[JSON]:
    tokens = value if isinstance(value, list) else []
    return [pick(token, _LOGPROB) for token in tokens if isinstance(token, dict)]


def _languages(values: list[Any]) -> list[JSON]:
    codes = [pick(language, {"code": _language}) for language in values]
    return [code for code in codes if code]


class _TranscriptEvents:
    """Builds the events of a streamed transcript; segments get our ids, the same one for the same segment."""

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
        return {
            **_SPEAKER_SEGMENT_DEFAULTS,
            **pick(event, _SPEAKER_SEGMENT),
            "id": self._segment(str(event.get("id"))),
        }

    def done(self, event: JSON) -> JSON | None:
        if not isinstance(event.get("text"), str):
            return None
        built: JSON = {"text": event["text"], **self._logprobs(event)}
        if isinstance(event.get("languages"), list):
            built["languages"] = _languages(event["languages"])
        return built | _usage(event)

    def _logprobs(self, event: JSON) -> JSON:
        logprobs = event.get("logprobs")
        return {"logprobs": _logprobs(logprobs)} if isinstance(logprobs, list) else {}

    def _segment(self, upstream_id: str) -> str:
        return self._segments.setdefault(upstream_id, f"seg_{len(self._segments)}")


def transcript_writer() -> TypedWriter:
    """Return the writer of a streamed transcript."""
    events = _TranscriptEvents()
    builds = {
        "transcript.text.delta": events.delta,
        "transcript.text.segment": events.segment,
        "transcript.text.done": events.done,
    }
    return TypedWriter(builds, "transcript.text.done")


def reported_audio_ms(response: JSON) -> int:
    """Return how long a provider says that the audio is, in milliseconds; 0 where it does not say."""
    usage = response.get("usage")
    used = seconds(usage.get("seconds")) if isinstance(usage, dict) else 0.0
    return int(1000 * (seconds(response.get("duration")) or used))


def seconds(value: Any) -> float:
    """Return a duration; what cannot be one is 0. Some servers write it as a string."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return 0.0
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < MAX_SECONDS:
        return float(value)
    return 0.0
