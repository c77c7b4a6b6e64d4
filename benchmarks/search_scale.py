"""Measure indexing and search time as the number of chunks grows, on seeded random vectors.

    make bench-search [ARGS="--most 500000 --write"]     # or: .venv/bin/python benchmarks/search_scale.py

One dataset grows, while another tenant has a small one in the same tables and index. Searches go through
``files.search`` with prepared query vectors, so that no model is measured. Recall is that of the nearest ten
against an exact scan. Exit status 1: recall is below the floor, or a filter left a search with too few results.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, quantiles
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

import numpy as np  # noqa: E402 - the checkout has to be on the path

from benchmarks.database import database  # noqa: E402
from benchmarks.prepared_vectors import VECTORS  # noqa: E402

SIZES = (1_000, 10_000, 100_000, 500_000)
DIMENSIONS = 384
#: Vectors cluster around this many centres, as texts do around subjects.
CENTRES = 400
SPREAD = 0.9
CHUNKS_A_FILE = 100
SMALL = 200
SEARCHES = 60
LIMIT = 10
FLOOR = 0.9
#: Words follow Zipf's law: the n-th is n times rarer than the first.
VOCABULARY = 20_000
WORDS_A_CHUNK = 60


class SyntheticCorpus:
    """A generator of random vectors and texts, the same ones each time."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(4)
        self._centres = self._random.normal(size=(CENTRES, DIMENSIONS))
        weights = 1 / np.arange(1, VOCABULARY + 1)
        self._weights = weights / weights.sum()

    def vectors(self, count: int) -> Any:
        about = self._centres[self._random.integers(0, CENTRES, count)]
        made = about + SPREAD * self._random.normal(size=(count, DIMENSIONS))
        return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16)

    def texts(self, count: int, words: int = WORDS_A_CHUNK) -> list[str]:
        chosen = self._random.choice(VOCABULARY, size=(count, words), p=self._weights)
        return [" ".join(f"w{word}" for word in row) for row in chosen]


def make_dataset(name: str) -> Any:
    from files.models import Dataset
    from tenants.models import Tenant

    tenant = Tenant.objects.create(slug=name, name=name)
    return Dataset.objects.create(tenant=tenant, name=name, embedding="embedder")


def grow(dataset: Any, world: SyntheticCorpus, count: int) -> float:
    """Add chunks; returns the database time in seconds."""
    from tests import factories

    seconds = 0.0
    for start in range(0, count, 10_000):
        some = min(10_000, count - start)
        dataset_files = []
        for at in range(0, some, CHUNKS_A_FILE):
            held = min(CHUNKS_A_FILE, some - at)
            # One file in a hundred is of a rare kind, which the filter selects.
            kind = "rare" if (start + at) // CHUNKS_A_FILE % 100 == 0 else "common"
            dataset_files.append(
                (factories.dataset_file(dataset, chunk_count=held, attributes={"kind": kind}), held)
            )
        seconds += _copy(dataset, dataset_files, world.vectors(some), world.texts(some))
    return seconds


def _copy(dataset: Any, dataset_files: list[tuple[Any, int]], vectors: Any, texts: list[str]) -> float:
    from django.db import connection, transaction

    began = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT nextval('files_chunk_id_seq') FROM generate_series(1, %s)", [len(texts)])
        ids = [row[0] for row in cursor.fetchall()]
        owner = (dataset.tenant_id, dataset.pk)
        positions = (
            (dataset_file.pk, position) for dataset_file, held in dataset_files for position in range(held)
        )
        with cursor.copy(
            "COPY files_chunk (id, tenant_id, dataset_id, dataset_file_id, position, text, tokens, heading) FROM STDIN"
        ) as copy:
            for id_, (dataset_file, position), text in zip(ids, positions, texts, strict=True):
                copy.write_row((id_, *owner, dataset_file, position, text, WORDS_A_CHUNK, ""))
        with cursor.copy(
            "COPY files_chunkvector (chunk_id, tenant_id, dataset_id, generation, dimensions, vector) FROM STDIN"
        ) as copy:
            for id_, vector in zip(ids, vectors.tolist(), strict=True):
                copy.write_row((id_, *owner, 1, DIMENSIONS, str(vector).replace(" ", "")))
    return time.perf_counter() - began


@dataclass
class Measured:
    """Milliseconds per search (p50, p95), and the recall of the nearest ten; None if not measured."""

    p50: float
    p95: float
    recall: float | None = None
    least: int = LIMIT


def measure(
    dataset: Any,
    world: SyntheticCorpus,
    mode: str,
    truth: Callable[[list[float]], set[int]] | None = None,
    **more: Any,
) -> Measured:
    from files.backends import Caller
    from files.search import search

    caller = Caller(dataset.tenant_id, 0, "")
    questions = world.texts(SEARCHES, 6)
    VECTORS.clear()
    VECTORS.update(zip(questions, world.vectors(SEARCHES).astype(float).tolist(), strict=True))

    async def all_of_them() -> Iterator[tuple[float, list[Any], list[float]]]:
        found = []
        for question in questions:
            began = time.perf_counter()
            passages = await search(caller, [dataset.pk], question, limit=LIMIT, mode=mode, **more)
            found.append(((time.perf_counter() - began) * 1000, passages, VECTORS[question]))
        return iter(found)

    results = list(asyncio.run(all_of_them()))
    cuts = quantiles((ms for ms, _, _ in results), n=20)
    recall = None
    if truth is not None:
        recall = mean(
            len({passage.chunk_id for passage in passages} & truth(vector)) / LIMIT
            for _, passages, vector in results
        )
    return Measured(cuts[9], cuts[18], recall, min(len(passages) for _, passages, _ in results))


def exact(dataset: Any, kind: str = "") -> Callable[[list[float]], set[int]]:
    """Return a function that finds the nearest chunks without an index."""
    from django.db import connection

    def nearest(vector: list[float]) -> set[int]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM (SELECT v.chunk_id AS id, v.vector::halfvec(384) <=> %s::halfvec(384) AS far"
                " FROM files_chunkvector v JOIN files_chunk c ON c.id = v.chunk_id"
                " JOIN files_datasetfile p ON p.id = c.dataset_file_id WHERE v.dataset_id = %s"
                " AND (%s = '' OR p.attributes ->> 'kind' = %s) OFFSET 0) every ORDER BY far, id LIMIT %s",
                [str(vector), dataset.pk, kind, kind, LIMIT],
            )
            return {row[0] for row in cursor.fetchall()}

    return nearest


def settle(size: int) -> float:
    """Create missing indexes and analyze the tables; returns the seconds for the index."""
    from django.db import connection

    from files.search import indexes

    began = time.perf_counter()
    made = indexes.make_missing()
    seconds = time.perf_counter() - began if made else 0.0
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return seconds


def uses_index(dataset: Any) -> bool:
    """Return whether PostgreSQL uses the vector index for a search."""
    from django.db import connection

    from files.search import hybrid, indexes, statements
    from files.search.sql import SQL, sql

    scope = statements.Scope(dataset.tenant_id, (dataset.pk,), SQL("TRUE"))
    chunks = sum(dataset.dataset_files.values_list("chunk_count", flat=True))
    vector = next(iter(VECTORS.values()))
    query_vector = statements.QueryVector(
        "embedder", (dataset.pk,), vector, (0, 1), exact=chunks <= hybrid.EXACT
    )
    explained = sql("EXPLAIN {}", statements.nearest(scope, query_vector))
    with connection.cursor() as cursor:
        cursor.execute(explained.text, explained.values)
        return indexes.name_of(DIMENSIONS) in str(cursor.fetchall())


RARE = {"type": "eq", "key": "kind", "value": "rare"}


def drop_index() -> None:
    from django.db import connection

    from files.search import indexes

    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX IF EXISTS {indexes.name_of(DIMENSIONS)}")


def step(
    size: int, grown: int, big: Any, small: Any, world: SyntheticCorpus, *, keep_index: bool
) -> tuple[str, list[str]]:
    """Grow to ``size`` and measure; returns a line of the table, and any faults."""
    from files.search import hybrid

    if not keep_index:
        drop_index()
    seconds = grow(big, world, size - grown)
    index = settle(size)
    kinds = {
        "vector": measure(big, world, "vector", exact(big)),
        "hybrid": measure(big, world, "hybrid"),
        "filtered": measure(big, world, "vector", exact(big, "rare"), filters=RARE),
        "small": measure(small, world, "vector", exact(small)),
    }
    by_index = uses_index(big)
    rate = (size - grown) / seconds
    cells = [f"{size:,}", f"{rate:,.0f}", f"{index:.0f}" if index else "", *map(_cell, kinds.values())]
    wrong = [
        f"{name} at {size:,}: recall {found.recall:.2f}"
        for name, found in kinds.items()
        if found.recall is not None and found.recall < FLOOR
    ]
    wrong += [f"{name} at {size:,}: only {m.least} passages" for name, m in kinds.items() if m.least < LIMIT]
    if by_index is not bool(size > hybrid.EXACT):
        wrong.append(f"at {size:,} the index is {'used' if by_index else 'not used'}")
    return "| " + " | ".join(cells) + " |", wrong


def _cell(found: Measured) -> str:
    recall = "" if found.recall is None else f", {found.recall:.2f}"
    return f"{found.p50:.0f} / {found.p95:.0f}{recall}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--most", type=int, default=100_000, help="the largest size (100000)")
    parser.add_argument(
        "--keep-index", action="store_true", help="add vectors to the index, as a gateway does"
    )
    parser.add_argument("--write", action="store_true", help="also write benchmarks/results/search.md")
    arguments = parser.parse_args()
    lines = [
        "| chunks | added per second | index, s | vectors | hybrid | with a filter (1 %) | 200 chunks of another tenant |",
        "|---|---|---|---|---|---|---|",
    ]
    wrong: list[str] = []
    print("\n".join(lines), flush=True)
    with database():
        from django.test import override_settings

        this = "benchmarks.prepared_vectors"
        with override_settings(FILES_EMBEDDER=f"{this}.embed", FILES_SCALE=f"{this}.scale"):
            world, big, small = SyntheticCorpus(), make_dataset("big"), make_dataset("small")
            grow(small, world, SMALL)
            grown = 0
            for size in (size for size in SIZES if size <= arguments.most):
                line, problems = step(size, grown, big, small, world, keep_index=arguments.keep_index)
                print(line, flush=True)
                lines.append(line)
                wrong += problems
                grown = size
    if arguments.write:
        title = "# Search as chunks grow\n\nMilliseconds a search, p50 / p95, and recall of the nearest ten; see ../search_scale.py.\n\n"
        (CHECKOUT / "benchmarks/results/search.md").write_text(title + "\n".join(lines) + "\n")
    for problem in wrong:
        print(problem, file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
