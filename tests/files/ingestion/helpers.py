"""Helpers of the tests of ingestion: rows as they are now, extraction processes, and scripted embeddings."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from files.ingestion.wakeup import wake
from files.models import DatasetFile
from tests.answers import answer
from tests.gateway import IngestProcess
from tests.upstream import Play, Wire
from tests.waiting import eventually

TERMINAL = ("ready", "failed", "cancelled")


def state(dataset_file: DatasetFile) -> DatasetFile:
    """The row as it is now."""
    return DatasetFile.objects.get(pk=dataset_file.pk)


def ended(*dataset_files: DatasetFile, woken: bool = True) -> list[DatasetFile]:
    """The rows once all of them have come to an end; unless `woken`, beat alone wakes the workers."""
    if woken:
        wake()
    pks = [dataset_file.pk for dataset_file in dataset_files]
    eventually(lambda: DatasetFile.objects.filter(pk__in=pks, state__in=TERMINAL).count() == len(pks))
    return [state(dataset_file) for dataset_file in dataset_files]


def extractions(ingest: IngestProcess) -> Iterator[int]:
    """The extraction processes of a worker at this moment."""
    for parent in ingest.pool():
        yield from extractions_of(parent)


def extractions_of(parent: int) -> Iterator[int]:
    """The extraction processes of one of its processes."""
    with suppress(OSError):  # threads and processes come and go
        for thread in Path(f"/proc/{parent}/task").iterdir():
            for child in (thread / "children").read_text().split():
                if b"files.extraction" in Path(f"/proc/{child}/cmdline").read_bytes():
                    yield int(child)


def embeddings(dimensions: int = 3, wait: float = 0) -> Play:
    """Answers each text with a vector made of its letters, after so many seconds."""

    async def play(wire: Wire) -> None:
        texts = wire.received.json["input"]
        vectors = [
            [1.0 + ord(letter) % 7 for letter in text.ljust(dimensions)[:dimensions]] for text in texts
        ]
        data = [{"object": "embedding", "index": n, "embedding": v} for n, v in enumerate(vectors)]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        await answer({"object": "list", "data": data, "model": "x", "usage": usage}, wait=wait)(wire)

    return play


class Gate:
    """A model that lets its first requests wait until it is opened."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._open = threading.Event()

    async def __call__(self, wire: Wire) -> None:
        self._asked.set()
        while not self._open.is_set():
            await wire.pause(0.02)
        await embeddings()(wire)

    def reached(self) -> None:
        assert self._asked.wait(40), "the model was not asked"

    def open(self) -> None:
        self._open.set()
