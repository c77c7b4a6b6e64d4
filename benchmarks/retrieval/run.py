"""Measure what search finds: hybrid against vectors alone and words alone, with the embedding model of this machine.

    make bench-retrieval [ARGS="--write"]       # or: .venv/bin/python benchmarks/retrieval/run.py

Exit status 1: hybrid found less than the floor, or less than one of the two that it is made of.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
sys.path.insert(0, str(CHECKOUT))

import yaml  # noqa: E402 - the checkout has to be on the path

from benchmarks.database import database  # noqa: E402

MODES = ("hybrid", "vector", "text")
#: What hybrid has to reach.
FLOOR = {"recall@5": 0.75, "MRR": 0.6}
DEPTH = 10


@dataclass(frozen=True)
class Question:
    ask: str
    find: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """The places of the first right passage by question, 0 for none, and what the best passage had."""

    places: list[int]
    relevance: list[float]
    nothing: list[float]

    def recall(self, at: int) -> float:
        return mean(0 < place <= at for place in self.places)

    @property
    def mrr(self) -> float:
        return mean(1 / place if place else 0.0 for place in self.places)


def read() -> tuple[list[Question], list[str]]:
    asked = yaml.safe_load((HERE / "questions.yaml").read_text())
    questions = [
        Question(each["ask"], tuple(each["find"]) if isinstance(each["find"], list) else (each["find"],))
        for each in asked["questions"]
    ]
    return questions, asked["nothing"]


def texts() -> dict[str, list[str]]:
    return {path.stem: path.read_text().strip().split("\n\n") for path in sorted(HERE.glob("texts/*.txt"))}


def fill() -> Any:
    """Put the texts into two datasets, with vectors and without."""
    from benchmarks.retrieval import embedding
    from files.models import Dataset
    from tenants.models import Tenant
    from tests import factories

    tenant = Tenant.objects.create(slug="bench", name="Bench")
    for name in ("embedder", ""):
        dataset = Dataset.objects.create(tenant=tenant, name=name or "words", embedding=name)
        for title, passages in texts().items():
            place = factories.place(dataset, filename=title, chunk_count=len(passages))
            vectors: Sequence[Any] = (
                embedding.vectors(passages, query=False) if name else [None] * len(passages)
            )
            for passage, vector in zip(passages, vectors, strict=True):
                factories.chunk(place, passage, vector=vector)
    return tenant


def ask(tenant: Any, dataset: str, mode: str) -> Found:
    from files.backends import Caller
    from files.search import search

    questions, nothing = read()
    caller = Caller(tenant.pk, 0, "")
    ids = [tenant.datasets.get(name=dataset).pk]

    async def passages(question: str) -> list[Any]:
        return await search(caller, ids, question, limit=DEPTH, mode=mode)

    async def all_of_them() -> Found:
        places, relevance = [], []
        for question in questions:
            found = await passages(question.ask)
            right = (at for at, p in enumerate(found, 1) if any(text in p.text for text in question.find))
            places.append(next(right, 0))
            relevance.append(max((p.relevance for p in found), default=0.0))
        other = [max((p.relevance for p in await passages(each)), default=0.0) for each in nothing]
        return Found(places, relevance, other)

    return asyncio.run(all_of_them())


def separated(found: Found) -> tuple[float, float]:
    """The cut-off that keeps most of what is answered and drops most of what is not, and the share it gets right."""

    def right(cut: float) -> float:
        return (mean(r >= cut for r in found.relevance) + mean(r < cut for r in found.nothing)) / 2

    best = max(sorted({*found.relevance, *found.nothing}), key=right)
    return best, right(best)


def table(results: dict[str, Found]) -> str:
    lines = [
        "| search | recall@1 | recall@5 | recall@10 | MRR@10 | relevance, answered | not answered | best cut | right |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, found in results.items():
        cut, right = separated(found)
        recalls = " | ".join(f"{found.recall(at):.3f}" for at in (1, 5, 10))
        lines.append(
            f"| {name} | {recalls} | {found.mrr:.3f} | {median(found.relevance):.2f} | {median(found.nothing):.2f}"
            f" | {cut:.2f} | {right:.2f} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/retrieval.md, too")
    parser.add_argument("--misses", action="store_true", help="say which questions hybrid misses")
    arguments = parser.parse_args()
    with database():
        from django.test import override_settings

        model = "benchmarks.retrieval.embedding"
        with override_settings(FILES_EMBEDDER=f"{model}.embed", FILES_SCALE=f"{model}.scale"):
            tenant = fill()
            results = {mode: ask(tenant, "embedder", mode) for mode in MODES}
            results["text, no vectors"] = ask(tenant, "words", "hybrid")
    printed = table(results)
    print(printed)
    if arguments.misses:
        for question, *places in zip(read()[0], *(results[mode].places for mode in MODES), strict=True):
            if places[0] != 1:
                print(places, question.ask)
    if arguments.write:
        title = "# Retrieval\n\n60 questions that 131 passages answer and 20 that they do not; see ../retrieval/.\n\n"
        (CHECKOUT / "benchmarks/results/retrieval.md").write_text(f"{title}{printed}\n")
    return verdict(results)


def verdict(results: dict[str, Found]) -> int:
    hybrid = results["hybrid"]
    reached = {"recall@5": hybrid.recall(5), "MRR": hybrid.mrr}
    problems = [
        f"{name} of hybrid is {reached[name]:.3f}, below {floor}"
        for name, floor in FLOOR.items()
        if reached[name] < floor
    ]
    for problem in problems:
        print(problem, file=sys.stderr)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
