"""The speech model: eSpeak NG, a rule-based synthesizer. It is clear, fast and robotic."""

from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, ClassVar

from local_models import SPEECH_MODEL, thread_stream
from local_models.errors import InvalidRequestError
from local_models.local_model import LocalModel, ModelSettings
from local_models.speech.voices import VOICES, espeak_name

#: At speed 1. Gaps between words make the speech easier to understand, for speech recognition above all.
WORDS_PER_MINUTE = 150
GAP_MS = 80


@dataclass(slots=True)
class SpeechRequest:
    """A text to speak.

    Attributes:
        voice: a voice of OpenAI's or eSpeak's.
        response_format: mp3, opus, aac, flac, wav or pcm.
        speed: from 0.25 to 4.
        seconds: duration of the speech until now.
    """

    text: str
    voice: str
    response_format: str
    speed: float = 1.0
    seconds: float = 0.0


class SpeechModel(LocalModel):
    """Turns text into speech."""

    capability: ClassVar[str] = "speech"
    id: ClassVar[str] = SPEECH_MODEL

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self._engine: Any = None
        # The library has global state, so a single thread makes all calls.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="speak")

    def load(self) -> None:
        from local_models.speech.espeak import Espeak

        self._engine = self._pool.submit(Espeak).result()

    async def speak(self, speech: SpeechRequest) -> AsyncGenerator[bytes, None]:
        """Generate an audio file in parts; closing the generator stops the speech.

        Raises:
            InvalidRequestError: the voice is unknown.
        """
        voice = espeak_name(speech.voice)
        if voice is None:
            raise _unknown_voice()
        await self.ready()

        def work(emit: Callable[[bytes], bool]) -> None:
            self._speak(speech, voice, emit)

        async with aclosing(thread_stream.results(self._pool, work)) as parts:
            async for part in parts:
                yield part

    def _speak(self, speech: SpeechRequest, voice: str, emit: Callable[[bytes], bool]) -> None:
        from local_models.speech.encoder import SpeechEncoder
        from local_models.speech.espeak import UnknownVoice

        # eSpeak's own rate is far from proportional, so it speaks at one rate and the encoder changes the tempo.
        encoder = SpeechEncoder(speech.response_format, self._engine.rate, tempo=speech.speed)
        stopped = False

        def sink(samples: bytes) -> bool:
            nonlocal stopped
            speech.seconds += len(samples) / (2 * self._engine.rate * speech.speed)
            if samples and (part := encoder.write(samples)):
                stopped = emit(part)
            return stopped

        try:
            self._engine.speak(
                speech.text, voice, words_per_minute=WORDS_PER_MINUTE, gap_ms=GAP_MS, sink=sink
            )
        except UnknownVoice as error:
            raise _unknown_voice() from error
        if not stopped:
            emit(encoder.end())


def _unknown_voice() -> InvalidRequestError:
    return InvalidRequestError(
        f"'voice' must be one of: {', '.join(VOICES)}; or a voice of eSpeak NG.", param="voice"
    )
