"""Fixtures of the reliability experiments, which `make reliability` runs. Their measurements are printed at the end."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

import httpx
import pytest
from django.db import connection
from django.db.models import Count

from files.models import Chunk, ChunkVector, Dataset, DatasetFile
from tests import factories
from tests.files.ingestion.helpers import TERMINAL, embeddings
from tests.gateway import GatewayProcess, IngestProcess, OCRProcess
from tests.upstream import Received, Upstream

_table: list[tuple[str, str, str]] = []


def pytest_terminal_summary(terminalreporter) -> None:
    if _table:
        terminalreporter.write_line("\n| experiment | what was asked for | what came |\n|---|---|---|")
        for row in _table:
            terminalreporter.write_line(f"| {' | '.join(row)} |")


@pytest.fixture
def record() -> Callable[[str, str, str], None]:
    """Put a row into the table: the experiment, what was asked for, what came."""
    return lambda *row: _table.append(row)


@pytest.fixture
def workers(worker) -> Iterator[list[IngestProcess]]:
    """Two workers of the queue `ingest`, of two processes each."""
    with (
        IngestProcess(factories.unique("ingest")) as one,
        IngestProcess(factories.unique("ingest")) as another,
    ):
        yield [one, another]


@pytest.fixture
def ocr_worker(worker) -> Iterator[OCRProcess]:
    """A worker for files that need OCR, of one process."""
    with OCRProcess(factories.unique("ocr")) as ocr:
        yield ocr


@dataclass
class Place:
    """Where an experiment's files go: a tenant's dataset, through the gateway."""

    gateway: GatewayProcess
    world: factories.World
    dataset: Dataset
    upstream: Upstream
    model: str
    sent: list[str] = field(default_factory=list)

    def upload(self, number: int) -> None:
        """Upload one text by the API, as often as it takes to be accepted."""
        text = f"File {number}. " + " ".join(f"Sentence {n} of file {number}." for n in range(120))
        with httpx.Client(
            base_url=self.gateway.base_url, headers=self.world.authorization, timeout=60
        ) as http:
            files = {"file": (f"notes-{number}.txt", text.encode(), "text/plain")}
            answer = http.post(f"/datasets/{self.dataset.pk}/files", files=files)
        assert answer.status_code in (200, 201), answer.text
        self.sent.append(answer.json()["id"])

    def received(self) -> list[Received]:
        """The requests that its model got."""
        return self.upstream.received(self.model)

    @contextmanager
    def uploading(self, pause: float, waiting: float = float("inf")) -> Iterator[Future[None]]:
        """Upload meanwhile: a text each `pause` seconds, as long as fewer than `waiting` are unfinished."""
        enough = threading.Event()

        def work() -> None:
            try:
                while not enough.wait(pause):
                    if unfinished(self.dataset) < waiting:
                        self.upload(len(self.sent))
            finally:
                connection.close()

        with ThreadPoolExecutor(1) as threads:
            going = threads.submit(work)
            try:
                yield going
            finally:
                enough.set()
        going.result()

    def upload_up_to(self, files: int) -> None:
        """Upload what is missing of so many."""
        for number in range(len(self.sent), files):
            self.upload(number)


@pytest.fixture
def place(gateway, upstream) -> Place:
    """A dataset whose model takes a moment, so that what dies dies in the middle of something."""
    world = factories.world(upstream.base_url)
    entry = factories.catalog(world.provider, "embedder", capabilities=["embed"])
    upstream.script(entry.model, embeddings(wait=0.1))
    dataset = factories.dataset(world.tenant, embedding="embedder", keys=[world.key.row])
    return Place(gateway, world, dataset, upstream, entry.model)


def states(dataset: Dataset) -> dict[str, int]:
    """How many files of a dataset are in each state."""
    rows = DatasetFile.objects.filter(dataset=dataset).order_by().values_list("state").annotate(Count("pk"))
    return dict(rows)


def unfinished(dataset: Dataset) -> int:
    return DatasetFile.objects.filter(dataset=dataset).exclude(state__in=TERMINAL).count()


def faults(dataset: Dataset) -> dict[str, int]:
    """Duplicate, missing and orphaned chunks or vectors, all of which should be 0."""
    doubled = missing = 0
    for one in DatasetFile.objects.filter(dataset=dataset, state="ready"):
        positions = list(Chunk.objects.filter(dataset_file=one).values_list("position", flat=True))
        vectors = list(ChunkVector.objects.filter(chunk__dataset_file=one).values_list("chunk_id", flat=True))
        doubled += len(positions) - len(set(positions)) + len(vectors) - len(set(vectors))
        missing += (set(positions) != set(range(one.chunk_count))) + (len(vectors) != len(positions))
    ready = DatasetFile.objects.filter(dataset=dataset, state="ready")
    strangers = Chunk.objects.filter(dataset=dataset).exclude(dataset_file__in=ready).count()
    return {"duplicates": doubled, "missing": missing, "orphaned": strangers}


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = monotonic()

    def __str__(self) -> str:
        return f"{monotonic() - self._start:.0f} s"


NONE = {"duplicates": 0, "missing": 0, "orphaned": 0}
SEED = 20261126


@pytest.fixture
def chance() -> random.Random:
    return random.Random(SEED)
