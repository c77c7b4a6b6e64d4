"""Embeds the texts of a file in batches, with progress and retries for each batch."""

import asyncio
from array import array
from collections.abc import Awaitable, Callable, Sequence

from files.backends import Caller, embedder
from files.ingestion.errors import IngestionError, PermanentError, TransientError
from gtapi.errors import APIError

#: Texts in one call.
BATCH = 64
#: Seconds that a batch may take: a provider that hangs must not block a worker for long.
BATCH_SECONDS = 120.0
#: Consecutive retries of a batch before the file is retried as a whole, which loses the batches before it.
MAX_RETRIES = 4
MAX_PAUSE = 20.0

OnProgress = Callable[[float], Awaitable[None]]


async def embed(
    caller: Caller, name: str, texts: Sequence[str], on_progress: OnProgress
) -> "list[array[float]]":
    """Return a vector for each text, as 32-bit floats; ``on_progress`` gets the finished share.

    Raises:
        PermanentError: the model refuses the texts.
        TransientError: the model is unavailable.
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
            if not vectors or failures > MAX_RETRIES or pause > MAX_PAUSE:
                raise
            await asyncio.sleep(pause)
        else:
            failures = 0
            await on_progress(len(vectors) / len(texts))
    return vectors


async def embed_batch(caller: Caller, name: str, texts: Sequence[str]) -> "list[array[float]]":
    """Return a vector for each text. Raises PermanentError, TransientError."""
    try:
        vectors = await embedder()(caller, name, texts, query=False, within=BATCH_SECONDS)
    except APIError as error:
        raise ingestion_error(error, "embedding") from error
    return [array("f", vector) for vector in vectors]


def ingestion_error(error: APIError, call: str) -> IngestionError:
    """Translate the error of a model; ``call`` is ``embedding`` or ``transcription``."""
    if error.status < 500 and error.status not in (408, 429):
        return PermanentError(f"{call}_failed")
    after = error.headers.get("retry-after", "")
    return TransientError(
        f"{call}_unavailable", provider=True, after=float(after) if after.isdecimal() else 0.0
    )
