"""The moderation model: phrases, and likeness to examples. It is small and honest, and no judge of hard cases."""

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from local_models import MODERATION_MODEL
from local_models.embedding_model import Embedder
from local_models.local_model import LocalModel, Settings
from local_models.moderation.categories import CATEGORIES, HARMLESS

#: From this score on a text is flagged.
THRESHOLD = 0.5
#: The score of a text with a phrase that gives it away.
GIVEN_AWAY = 0.95
#: How much nearer to an example of a category than to harmless ones a text has to be for a score of 0.5, and how
#: fast the score grows from there: both found by trying sentences of either kind.
MARGIN = 0.05
STEEPNESS = 100.0
#: Harmless examples that count, the nearest ones.
NEAREST = 2
#: A long text is judged by its worst sentence. This many characters make a piece at least, and this many
#: pieces a text at most.
PIECE = 120
MAX_PIECES = 64
SENTENCE_END = re.compile(r"(?<=[.!?\n])\s+")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The score of each category, from 0 to 1."""

    scores: Mapping[str, float]

    @property
    def categories(self) -> dict[str, bool]:
        return {name: score >= THRESHOLD for name, score in self.scores.items()}

    @property
    def flagged(self) -> bool:
        return any(self.categories.values())


class Moderator(LocalModel):
    """Tells which categories of harm a text falls under."""

    capability: ClassVar[str] = "moderate"
    id: ClassVar[str] = MODERATION_MODEL
    uses: ClassVar[tuple[type[LocalModel], ...]] = (Embedder,)

    def __init__(self, settings: Settings, embedder: Embedder) -> None:
        super().__init__(settings)
        self._embedder = embedder
        self._harmless: Any = None
        self._examples: dict[str, Any] = {}

    async def ready(self) -> None:
        await self._embedder.ready()
        await super().ready()

    def load(self) -> None:
        self._harmless = self._matrix(HARMLESS)
        self._examples = {name: self._matrix(category.examples) for name, category in CATEGORIES.items()}

    def _matrix(self, texts: Sequence[str]) -> Any:
        return _matrix(self._embedder.embed_now(texts))

    async def judge(self, text: str) -> Verdict:
        """Return the verdict on a text.

        Raises:
            ContextTooLongError: it is far too long.
        """
        await self.ready()
        scores = {
            name: GIVEN_AWAY if category.phrases.search(text) else 0.0
            for name, category in CATEGORIES.items()
        }
        if pieces := _pieces(text):
            vectors, _ = await self._embedder.embed(pieces, queries=True)
            likely = await asyncio.to_thread(self._likely, vectors)
            scores = {name: round(max(score, likely[name]), 6) for name, score in scores.items()}
        return Verdict(scores)

    def _likely(self, vectors: Sequence[bytes]) -> dict[str, float]:
        """Return the score of each category for the worst of some pieces."""
        pieces = _matrix(vectors)
        likeness = pieces @ self._harmless.T
        likeness.sort(axis=1)
        harmless = likeness[:, -NEAREST:].mean(axis=1)
        return {
            name: _score(float(((pieces @ examples.T).max(axis=1) - harmless).max()))
            for name, examples in self._examples.items()
        }


def _matrix(vectors: Sequence[bytes]) -> Any:
    import numpy as np

    return np.stack([np.frombuffer(vector, "<f4") for vector in vectors])


def _score(nearer: float) -> float:
    return 1 / (1 + math.exp(-STEEPNESS * (nearer - MARGIN)))


def _pieces(text: str) -> list[str]:
    """Return a text in pieces of whole sentences."""
    shortest = max(PIECE, len(text) // MAX_PIECES + 1)
    pieces: list[str] = []
    for sentence in SENTENCE_END.split(text):
        if not sentence.strip():
            continue
        if pieces and len(pieces[-1]) + len(sentence) < shortest:
            pieces[-1] += " " + sentence
        else:
            pieces.append(sentence)
    return pieces
