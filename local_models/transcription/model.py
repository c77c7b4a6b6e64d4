"""The transcription model: Whisper tiny.en, which understands English only."""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, ClassVar

from local_models import TRANSCRIBE_MODEL
from local_models.local_model import LocalModel, ModelSettings
from local_models.transcription.transcript import Transcript, TranscriptSegment


class TranscriptionModel(LocalModel):
    """Transcribes recordings."""

    capability: ClassVar[str] = "transcribe"
    id: ClassVar[str] = TRANSCRIBE_MODEL

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self._engine: Any = None
        # A single thread, in which concurrent transcriptions take turns segment by segment.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="transcribe")

    def load(self) -> None:
        from local_models.transcription.engine import WhisperEngine

        self._engine = WhisperEngine(self.settings.threads)

    async def segments(
        self, file: BinaryIO, transcript: Transcript, **options: Any
    ) -> AsyncGenerator[TranscriptSegment, None]:
        """Generate the segments of a recording as they are recognised; ``transcript`` is complete at the end.

        Closing the generator stops the work after the current 30-second window.

        Args:
            file: positioned at its beginning; not closed.
            transcript: an empty one.
            options: see ``transcription.engine.TranscriptionOptions``.

        Raises:
            InvalidRequestError: the file cannot be decoded as audio.
        """
        await self.ready()
        from local_models.transcription.engine import TranscriptionOptions

        loop = asyncio.get_running_loop()
        segments = self._engine.transcribe(file, TranscriptionOptions(**options), transcript)
        try:
            while (batch := await loop.run_in_executor(self._pool, next, segments, None)) is not None:
                for segment in batch:
                    yield segment
        finally:
            # In the same pool, since its thread may still be processing a window.
            closing = self._pool.submit(segments.close)
            await asyncio.shield(asyncio.wrap_future(closing))
