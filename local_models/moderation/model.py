"""The moderation model: phrases, and embedding similarity to examples of each category."""

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from local_models import MODERATION_MODEL
from local_models.embedding_model import EmbeddingModel
from local_models.local_model import LocalModel, ModelSettings
from local_models.moderation.categories import CATEGORIES, HARMLESS

#: A text is flagged from this score on.
THRESHOLD = 0.5
#: Score of a text that contains a phrase of the category.
PHRASE_SCORE = 0.95
#: The score is a logistic function of how much more similar a text is to a category's examples than to harmless
#: ones: 0.5 at the margin. Both values were tuned on harmful and harmless sentences.
MARGIN = 0.05
STEEPNESS = 100.0
#: The most similar harmless examples that are averaged.
NEAREST = 2
#: A text is scored by its worst chunk of whole sentences.
MIN_CHUNK_CHARACTERS = 120
MAX_CHUNKS = 64
SENTENCE_END = re.compile(r"(?<=[.!?\n])\s+")


@dataclass(frozen=True, slots=True)
class ModerationScores:
    """The score of each category, from 0 to 1."""

    scores: Mapping[str, float]

    @property
    def categories(self) -> dict[str, bool]:
        return {name: score >= THRESHOLD for name, score in self.scores.items()}

    @property
    def flagged(self) -> bool:
        return any(self.categories.values())


class ModerationModel(LocalModel):
    """Scores texts for each category of harmful content."""

    capability: ClassVar[str] = "moderate"
    id: ClassVar[str] = MODERATION_MODEL
    uses: ClassVar[tuple[type[LocalModel], ...]] = (EmbeddingModel,)

    def __init__(self, settings: ModelSettings, embedding_model: EmbeddingModel) -> None:
        super().__init__(settings)
        self._embedding_model = embedding_model
        self._harmless: Any = None
        self._examples: dict[str, Any] = {}

    async def ready(self) -> None:
        await self._embedding_model.ready()
        await super().ready()

    def load(self) -> None:
        self._harmless = self._matrix(HARMLESS)
        self._examples = {name: self._matrix(category.examples) for name, category in CATEGORIES.items()}

    def _matrix(self, texts: Sequence[str]) -> Any:
        return _matrix(self._embedding_model.embed_blocking(texts))

    async def score(self, text: str) -> ModerationScores:
        """Return the scores of a text.

        Raises:
            ContextTooLongError: a sentence has too many tokens.
        """
        await self.ready()
        scores = {
            name: PHRASE_SCORE if category.phrases.search(text) else 0.0
            for name, category in CATEGORIES.items()
        }
        if chunks := _chunks(text):
            vectors, _ = await self._embedding_model.embed(chunks, queries=True)
            similar = await asyncio.to_thread(self._similarity_scores, vectors)
            scores = {name: round(max(score, similar[name]), 6) for name, score in scores.items()}
        return ModerationScores(scores)

    def _similarity_scores(self, vectors: Sequence[bytes]) -> dict[str, float]:
        """Return the score of each category for the worst chunk."""
        chunks = _matrix(vectors)
        similarity = chunks @ self._harmless.T
        similarity.sort(axis=1)
        harmless = similarity[:, -NEAREST:].mean(axis=1)
        return {
            name: _logistic(float(((chunks @ examples.T).max(axis=1) - harmless).max()))
            for name, examples in self._examples.items()
        }


def _matrix(vectors: Sequence[bytes]) -> Any:
    import numpy as np

    return np.stack([np.frombuffer(vector, "<f4") for vector in vectors])


def _logistic(advantage: float) -> float:
    return 1 / (1 + math.exp(-STEEPNESS * (advantage - MARGIN)))


def _chunks(text: str) -> list[str]:
    """Split a text into chunks of whole sentences."""
    min_length = max(MIN_CHUNK_CHARACTERS, len(text) // MAX_CHUNKS + 1)
    chunks: list[str] = []
    for sentence in SENTENCE_END.split(text):
        if not sentence.strip():
            continue
        if chunks and len(chunks[-1]) + len(sentence) < min_length:
            chunks[-1] += " " + sentence
        else:
            chunks.append(sentence)
    return chunks
