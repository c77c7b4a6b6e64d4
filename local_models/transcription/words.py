"""When each word was said: the model's attention tells where in the sound it looked for each token."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from string import punctuation

from local_models.transcription.transcript import Segment, Word
from local_models.transcription.vocabulary import SECONDS_PER_STAMP, TEXT_TOKENS, Vocabulary

#: What may stand around a word without being part of it.
AROUND = punctuation + " \u2026\u2013\u2014\u2018\u2019\u201c\u201d\u266a"

Align = Callable[[Sequence[int]], list[tuple[int, int]]]


def words(found: Sequence[Segment], vocabulary: Vocabulary, align: Align) -> list[Segment]:
    """Return the segments of one window with their words.

    Args:
        found: in the order of time; times in seconds from the beginning of the window.
        vocabulary: of the model.
        align: takes the text of all segments, and returns pairs of a token's place in it and a fiftieth of a
            second in which it was heard, in the order of both.
    """
    texts = [[token for token in segment.tokens if token < TEXT_TOKENS] for segment in found]
    whole = [token for text in texts for token in text]
    if not whole:
        return list(found)
    starts: dict[int, float] = {}
    last = 0.0
    for place, moment in align(whole):
        starts.setdefault(place, moment * SECONDS_PER_STAMP)
        last = moment * SECONDS_PER_STAMP
    timed = []
    place = 0
    for segment, text in zip(found, texts, strict=True):
        times = [starts.get(at, last) for at in range(place, place + len(text) + 1)]
        timed.append(replace(segment, words=_of_segment(segment, text, times, vocabulary)))
        place += len(text)
    return timed


def _of_segment(
    segment: Segment, text: Sequence[int], times: Sequence[float], vocabulary: Vocabulary
) -> list[Word]:
    """Return the words of one segment; ``times`` has the start of each token and of what follows the last."""
    begins = [at for at, token in enumerate(text) if at == 0 or vocabulary.begins_word(token)]
    found: list[Word] = []
    for begin, end in zip(begins, [*begins[1:], len(text)], strict=True):
        word = vocabulary.text(text[begin:end]).strip(AROUND)
        if word:
            earliest = found[-1].end if found else segment.start
            start = min(max(times[begin], earliest), segment.end)
            found.append(Word(word, start, min(max(times[end], start), segment.end)))
    return found
