"""From the tokens of one window to segments: the stamps among them say what belongs together."""

from dataclasses import dataclass

from local_models.transcription.spectrogram import WINDOW
from local_models.transcription.transcript import Segment
from local_models.transcription.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Heard:
    """What the model wrote for one window, and how sure it is; see ``Segment``."""

    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


def segments(heard: Heard, vocabulary: Vocabulary, seconds: float) -> tuple[list[Segment], float]:
    """Return the segments of a window, and where in it the next window should begin.

    Times are in seconds from the beginning of the window, which holds ``seconds`` of sound. Where the window
    ends in the middle of a sentence, the model leaves the sentence open. It is then left out, and the next
    window begins with it.
    """
    found: list[Segment] = []
    begin = 0.0
    text: list[int] = []
    for token in heard.tokens:
        if not vocabulary.is_stamp(token):
            text.append(token)
            continue
        stamp = min(vocabulary.seconds(token), seconds)
        if text:
            found.append(_segment(heard, vocabulary, text, begin, stamp))
            text = []
        begin = stamp
    if text and not (found and begin > 0 and seconds == WINDOW):
        found.append(_segment(heard, vocabulary, text, begin, seconds))
        text = []
    found = [segment for segment in found if segment.text.strip()]
    ends_on_pair = len(heard.tokens) > 1 and all(map(vocabulary.is_stamp, heard.tokens[-2:]))
    return found, begin if text or (ends_on_pair and begin > 0) else seconds


def _segment(heard: Heard, vocabulary: Vocabulary, text: list[int], begin: float, end: float) -> Segment:
    return Segment(
        id=0,
        seek=0,
        start=begin,
        end=max(begin, end),
        text=vocabulary.text(text),
        tokens=[vocabulary.stamp(begin), *text, vocabulary.stamp(end)],
        temperature=heard.temperature,
        avg_logprob=heard.avg_logprob,
        compression_ratio=heard.compression_ratio,
        no_speech_prob=heard.no_speech_prob,
    )
