"""The rerank model: cosine similarity of the embedding model's vectors."""

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from local_models import RERANK_MODEL
from local_models.embedding_model import EmbeddingModel
from local_models.local_model import LocalModel, ModelSettings


class RerankModel(LocalModel):
    """Scores documents by their relevance to a query."""

    capability: ClassVar[str] = "rerank"
    id: ClassVar[str] = RERANK_MODEL
    uses: ClassVar[tuple[type[LocalModel], ...]] = (EmbeddingModel,)

    def __init__(self, settings: ModelSettings, embedding_model: EmbeddingModel) -> None:
        super().__init__(settings)
        self._embedding_model = embedding_model

    async def ready(self) -> None:
        await self._embedding_model.ready()
        await super().ready()

    def load(self) -> None:
        """Load nothing: the embedding model is loaded by ``ready``."""

    async def score(self, query: str, documents: Sequence[str]) -> tuple[list[float], int]:
        """Return the cosine similarity of each document to the query, and the number of tokens read.

        Raises:
            ContextTooLongError: a text has too many tokens.
        """
        await self.ready()
        [query_vector], query_tokens = await self._embedding_model.embed([query], queries=True, param="query")
        vectors, document_tokens = await self._embedding_model.embed(
            documents, queries=False, param="documents"
        )
        scores = await asyncio.to_thread(_similarities, query_vector, vectors)
        return scores, query_tokens + document_tokens


def _similarities(query: bytes, documents: Sequence[bytes]) -> list[float]:
    import numpy as np

    matrix = np.stack([np.frombuffer(vector, "<f4") for vector in documents])
    # The vectors have length 1, so their dot product is the cosine.
    scores: list[float] = (matrix @ np.frombuffer(query, "<f4")).clip(0, 1).round(6).tolist()
    return scores
