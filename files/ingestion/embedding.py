"""Vectors of a file's pieces, made in batches, so that progress is seen and a hiccup costs one batch."""

import asyncio
from array import array
from collections.abc import Awaitable, Callable, Sequence

from files.backends import Caller, embedder
from files.ingestion.errors import IngestionError, PermanentError, TransientError
from gtapi.errors import APIError

#: Texts of one call.
BATCH = 64
#: Seconds in which a batch has to be there: a provider that hangs must not hold a worker's place for long.
BATCH_SECONDS = 120.0
#: Times in a row that a batch is asked for again at once, where giving up would throw away those before it.
RETRIES = 4
LONGEST_PAUSE = 20.0

Progress = Callable[[float], Awaitable[None]]


async def embed(caller: Caller, name: str, texts: Sequence[str], progress: Progress) -> "list[array[float]]":
    """Return a vector for each text, as 32-bit floats; ``progress`` is told the share that is done.

    Raises:
        PermanentError: the model refuses.
        TransientError: it fails for now.
    """
    vectors: list[array[float]] = []
    failures = 0
    while len(vectors) < len(texts):
        batch = texts[len(vectors) : len(vectors) + BATCH]
        try:
            vectors += await embed_batch(caller, name, batch)
        except TransientError as error:
            failures += 1
            pause = max(2.0 ** (failures - 1), error.after)
            if not vectors or failures > RETRIES or pause > LONGEST_PAUSE:
                raise
            await asyncio.sleep(pause)
        else:
            failures = 0
            await progress(len(vectors) / len(texts))
    return vectors


async def embed_batch(caller: Caller, name: str, texts: Sequence[str]) -> "list[array[float]]":
    """Return a vector for each text. Raises PermanentError, TransientError."""
    try:
        made = await embedder()(caller, name, texts, query=False, within=BATCH_SECONDS)
    except APIError as error:
        raise judge(error, "embedding") from error
    return [array("f", vector) for vector in made]


def judge(error: APIError, what: str) -> IngestionError:
    """Return what a model's error means for a file; ``what`` is ``embedding`` or ``transcription``."""
    if error.status < 500 and error.status not in (408, 429):
        return PermanentError(f"{what}_failed")
    after = error.headers.get("retry-after", "")
    return TransientError(
        f"{what}_unavailable", provider=True, after=float(after) if after.isdecimal() else 0.0
    )
