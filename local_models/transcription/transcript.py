"""What a transcription is made of, and the formats in which clients want it."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from local_models.usage import usage


@dataclass(frozen=True, slots=True)
class Word:
    """A word without the punctuation around it; times in seconds from the beginning of the recording."""

    word: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Segment:
    """What was said in one breath, in OpenAI's words.

    Attributes:
        id: its number, from 0.
        seek: where the window in which it was heard begins, in hundredths of a second.
        start, end: in seconds from the beginning of the recording.
        text: begins with the space that parts it from the one before.
        tokens: as the model wrote them, with the stamps at both ends.
        temperature: at which they were drawn; 0 where they are the likeliest.
        avg_logprob: mean over the window.
        compression_ratio: of the window's text; far above 2 for a model that repeats itself.
        no_speech_prob: the model's own guess that nobody speaks in the window.
        words: only where they were asked for.
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
    words: list[Word] = field(default_factory=list)

    def moved(self, *, seconds: float, seek: int, number: int) -> "Segment":
        """Return it as a part of the whole recording, in which its window begins at ``seconds``."""
        return replace(
            self,
            id=number,
            seek=seek,
            start=round(self.start + seconds, 2),
            end=round(self.end + seconds, 2),
            words=[
                Word(word.word, round(word.start + seconds, 2), round(word.end + seconds, 2))
                for word in self.words
            ],
        )


@dataclass(slots=True)
class Transcript:
    """A whole transcription, or as much of it as there is yet.

    Attributes:
        seconds: the length of the recording.
        tokens_read: one for each fiftieth of a second that the model heard, and those of the client's prompt.
        tokens_written: by the model.
    """

    segments: list[Segment] = field(default_factory=list)
    seconds: float = 0.0
    tokens_read: int = 0
    tokens_written: int = 0

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments).strip()

    @property
    def words(self) -> list[Word]:
        return [word for segment in self.segments for word in segment.words]

    def duration(self) -> dict[str, Any]:
        """Return the usage of a whole answer: seconds of sound, begun ones counted whole."""
        return {"type": "duration", "seconds": max(1, -int(-self.seconds // 1))}

    def tokens(self) -> dict[str, Any]:
        """Return the usage of a stream, which OpenAI counts in tokens."""
        return {"type": "tokens", **usage(self.tokens_read, self.tokens_written)}


def plain(transcript: Transcript) -> str:
    """Return the text alone."""
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


TEXTS: dict[str, Callable[[Transcript], str]] = {"text": plain, "srt": srt, "vtt": vtt}


def brief(transcript: Transcript) -> dict[str, Any]:
    """Return the format ``json``."""
    return {"text": transcript.text, "usage": transcript.duration()}


def verbose(transcript: Transcript, task: str, granularities: Sequence[str]) -> dict[str, Any]:
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


def _segment(segment: Segment) -> dict[str, Any]:
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
