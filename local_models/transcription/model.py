"""The transcription model: Whisper tiny.en, which understands English only."""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, ClassVar

from local_models import TRANSCRIBE_MODEL
from local_models.local_model import LocalModel, Settings
from local_models.transcription.transcript import Segment, Transcript


class Whisper(LocalModel):
    """Writes down what is said in a recording."""

    capability: ClassVar[str] = "transcribe"
    id: ClassVar[str] = TRANSCRIBE_MODEL

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._engine: Any = None
        # One thread, in which the windows of all recordings take turns.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="listen")

    def load(self) -> None:
        from local_models.transcription.engine import Engine

        self._engine = Engine(self.settings.threads)

    async def segments(
        self, file: BinaryIO, transcript: Transcript, **options: Any
    ) -> AsyncGenerator[Segment, None]:
        """Generate what is said in ``file``, as it is understood; ``transcript`` is whole at the end.

        Closing the generator ends the work after the window that is being heard.

        Args:
            file: open for reading from its beginning; it is kept open.
            transcript: an empty one.
            options: see ``transcription.engine.Options``.

        Raises:
            InvalidRequestError: the file is no sound that could be decoded.
        """
        await self.ready()
        from local_models.transcription.engine import Listening, Options

        loop = asyncio.get_running_loop()
        wanted = Options(**options)
        listening: Listening = await loop.run_in_executor(
            self._pool, self._engine.listen, file, wanted, transcript
        )
        try:
            while (found := await loop.run_in_executor(self._pool, listening.step)) is not None:
                for segment in found:
                    yield segment
        finally:
            # In its turn, since the thread may still be in the middle of a window.
            closing = self._pool.submit(listening.close)
            await asyncio.shield(asyncio.wrap_future(closing))
