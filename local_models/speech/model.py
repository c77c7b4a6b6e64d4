"""The speech model: eSpeak NG, which has rules and no network of neurons. It is clear, quick and robotic."""

from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, ClassVar

from local_models import SPEECH_MODEL, thread_stream
from local_models.errors import InvalidRequestError
from local_models.local_model import LocalModel, Settings
from local_models.speech.voices import VOICES, espeak_name

#: At speed 1. Words that run into each other are what listeners, machines above all, understand least.
WORDS_A_MINUTE = 150
GAP_MS = 80


@dataclass(slots=True)
class Speech:
    """What is to be said, and how.

    Attributes:
        voice: a name of OpenAI's or eSpeak's.
        form: mp3, opus, aac, flac, wav or pcm.
        speed: from 0.25 to 4.
        seconds: how long it has become until now.
    """

    text: str
    voice: str
    form: str
    speed: float = 1.0
    seconds: float = 0.0


class Speaker(LocalModel):
    """Says texts."""

    capability: ClassVar[str] = "speech"
    id: ClassVar[str] = SPEECH_MODEL

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._engine: Any = None
        # The library has one state for all, so all of it happens in one thread.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="speak")

    def load(self) -> None:
        from local_models.speech.espeak import Espeak

        self._engine = self._pool.submit(Espeak).result()

    async def speak(self, speech: Speech) -> AsyncGenerator[bytes, None]:
        """Generate a sound file, a piece at a time; closing the generator ends the speech.

        Raises:
            InvalidRequestError: there is no such voice.
        """
        voice = espeak_name(speech.voice)
        if voice is None:
            raise _unknown_voice()
        await self.ready()

        def work(arrive: Callable[[bytes], bool]) -> None:
            self._work(speech, voice, arrive)

        async with aclosing(thread_stream.results(self._pool, work)) as pieces:
            async for piece in pieces:
                yield piece

    def _work(self, speech: Speech, voice: str, arrive: Callable[[bytes], bool]) -> None:
        from local_models.speech.encoder import encoder
        from local_models.speech.espeak import UnknownVoice

        # The engine's own rate is far from proportional, so that speech is made at one rate and stretched.
        file = encoder(speech.form, self._engine.rate, tempo=speech.speed)
        left = False

        def sink(samples: bytes) -> bool:
            nonlocal left
            speech.seconds += len(samples) / (2 * self._engine.rate * speech.speed)
            if samples and (piece := file.write(samples)):
                left = arrive(piece)
            return left

        try:
            self._engine.speak(speech.text, voice, words_a_minute=WORDS_A_MINUTE, gap_ms=GAP_MS, sink=sink)
        except UnknownVoice as error:
            raise _unknown_voice() from error
        if not left:
            arrive(file.end())


def _unknown_voice() -> InvalidRequestError:
    return InvalidRequestError(
        f"'voice' has to be one of: {', '.join(VOICES)}; or a voice of eSpeak NG.", param="voice"
    )
