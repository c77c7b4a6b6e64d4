"""An embedder for tests that needs no server: what it makes of a text follows from the text alone.

Each of these words is a direction. Entries named `wide…` have more dimensions, and those named `away…` fail.
"""

from gtapi.errors import UpstreamFailed

WORDS = ("cat", "dog", "ship", "tree", "moon", "bread", "stone", "river")
#: (name, texts, query) of each call.
CALLS: list[tuple[str, list[str], bool]] = []


def vector(text: str, dimensions: int = 8) -> list[float]:
    """One number a word that the text holds; a text without any has a direction of its own."""
    said = text.lower()
    found = [float(said.count(word)) for word in WORDS] + [0.0] * (dimensions - len(WORDS))
    return found if any(found) else [1.0] * dimensions


async def embed(caller, name, texts, *, query, within):
    CALLS.append((name, list(texts), query))
    if name.startswith("away"):
        raise UpstreamFailed(detail="it is away")
    return [vector(text, 16 if name.startswith("wide") else 8) for text in texts]


async def scale(tenant_id, name):
    return 0.5, 1.0
