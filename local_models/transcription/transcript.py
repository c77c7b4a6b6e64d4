"""A transcript and the response formats that clients can choose."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from local_models.usage import AUDIO_TOKENS_PER_SECOND, usage


@dataclass(frozen=True, slots=True)
class TranscriptWord:
    """A word without surrounding punctuation; times in seconds from the start of the recording."""

    word: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class TranscriptSegment:
    """A segment, with the field names of OpenAI's ``verbose_json``.

    Attributes:
        id: its index, from 0.
        seek: start of the 30-second window that contains it, in hundredths of a second.
        start, end: seconds from the start of the recording.
        text: starts with a space.
        tokens: text and timestamp tokens.
        temperature: sampling temperature of the text.
        avg_logprob: mean log probability of the window's tokens.
        compression_ratio: of the window's text; far above 2 for text that repeats itself.
        no_speech_prob: probability that the window contains no speech.
        words: empty unless requested.
    """

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: list[TranscriptWord] = field(default_factory=list)


@dataclass(slots=True)
class Transcript:
    """A transcript, partial until the transcription has ended.

    Attributes:
        seconds: duration of the recording, as far as it has been read.
        prompt_tokens: tokens of the client's prompt.
    """

    segments: list[TranscriptSegment] = field(default_factory=list)
    seconds: float = 0.0
    prompt_tokens: int = 0

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments).strip()

    @property
    def words(self) -> list[TranscriptWord]:
        return [word for segment in self.segments for word in segment.words]

    def duration(self) -> dict[str, Any]:
        """Return the usage of a complete response: seconds of audio, rounded up."""
        return {"type": "duration", "seconds": max(1, -int(-self.seconds // 1))}

    def tokens(self) -> dict[str, Any]:
        """Return the usage of a stream, which OpenAI counts in tokens."""
        audio = round(self.seconds * AUDIO_TOKENS_PER_SECOND)
        written = sum(len(segment.tokens) for segment in self.segments)
        return {"type": "tokens", **usage(self.prompt_tokens + audio, written)}


def plain(transcript: Transcript) -> str:
    """Return the format ``text``."""
    return transcript.text + "\n"


def srt(transcript: Transcript) -> str:
    """Return SubRip subtitles."""
    return "\n".join(
        f"{number}\n{_clock(segment.start, ',')} --> {_clock(segment.end, ',')}\n{segment.text.strip()}\n"
        for number, segment in enumerate(transcript.segments, 1)
    )


def vtt(transcript: Transcript) -> str:
    """Return WebVTT subtitles."""
    cues = [
        f"{_clock(segment.start, '.')} --> {_clock(segment.end, '.')}\n{_cue(segment.text)}\n"
        for segment in transcript.segments
    ]
    return "\n".join(["WEBVTT\n", *cues])


#: Formats that are plain text.
TEXTS: dict[str, Callable[[Transcript], str]] = {"text": plain, "srt": srt, "vtt": vtt}


def json_format(transcript: Transcript) -> dict[str, Any]:
    """Return the format ``json``."""
    return {"text": transcript.text, "usage": transcript.duration()}


def verbose_json_format(transcript: Transcript, task: str, granularities: Sequence[str]) -> dict[str, Any]:
    """Return the format ``verbose_json``."""
    body: dict[str, Any] = {
        "task": task,
        "language": "english",
        "duration": round(transcript.seconds, 2),
        "text": transcript.text,
    }
    if "segment" in granularities:
        body["segments"] = [_segment(segment) for segment in transcript.segments]
    if "word" in granularities:
        body["words"] = [asdict(word) for word in transcript.words]
    return {**body, "usage": transcript.duration()}


def _segment(segment: TranscriptSegment) -> dict[str, Any]:
    fields = asdict(segment)
    del fields["words"]
    return fields


def _clock(seconds: float, point: str) -> str:
    """Return a time as 01:02:03.004."""
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}{point}{thousandths:03}"


def _cue(text: str) -> str:
    return text.strip().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
