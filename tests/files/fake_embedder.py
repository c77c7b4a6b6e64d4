"""A deterministic embedder for tests, which needs no server.

Each of these words is a direction. Entries named `wide…` have more dimensions, and those named `away…` fail.
"""

from gtapi.errors import UpstreamFailed

WORDS = ("cat", "dog", "ship", "tree", "moon", "bread", "stone", "river")
#: (name, texts, query) of each call.
CALLS: list[tuple[str, list[str], bool]] = []


def vector(text: str, dimensions: int = 8) -> list[float]:
    """Return the count of each known word; a text without any gets a separate direction."""
    lowered = text.lower()
    counts = [float(lowered.count(word)) for word in WORDS] + [0.0] * (dimensions - len(WORDS))
    return counts if any(counts) else [1.0] * dimensions


async def embed(caller, name, texts, *, query, within):
    CALLS.append((name, list(texts), query))
    if name.startswith("away"):
        raise UpstreamFailed(detail="it is away")
    return [vector(text, 16 if name.startswith("wide") else 8) for text in texts]


async def scale(tenant_id, name):
    return 0.5, 1.0
