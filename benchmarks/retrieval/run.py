"""Measure search quality: hybrid against vectors only and full text only, with the local embedding model.

    make bench-retrieval [ARGS="--write"]       # or: .venv/bin/python benchmarks/retrieval/run.py

Exit status 1: hybrid is below its floor, or clearly below vectors or full text alone.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
sys.path.insert(0, str(CHECKOUT))

import yaml  # noqa: E402 - the checkout has to be on the path

from benchmarks.database import database  # noqa: E402
from benchmarks.retrieval import codes  # noqa: E402

MODES = ("hybrid", "vector", "text")
#: The floor for hybrid search.
FLOOR = {"recall@5": 0.75, "MRR": 0.6}
#: How far its MRR may be below that of vectors or full text alone.
TOLERANCE = 0.01
DEPTH = 10


@dataclass(frozen=True)
class Question:
    ask: str
    find: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """The rank of the first right passage per question, 0 for none, and the relevance of the best passage."""

    places: list[int]
    relevance: list[float]
    nothing: list[float]

    def recall(self, at: int) -> float:
        return mean(0 < place <= at for place in self.places)

    @property
    def mrr(self) -> float:
        return mean(1 / place if place else 0.0 for place in self.places)


@dataclass(frozen=True)
class Matter:
    """A set of passages, with questions that they answer and questions that they do not."""

    passages: dict[str, list[str]]
    questions: list[Question]
    nothing: list[str]


def written() -> Matter:
    """Return the texts and questions stored in this folder."""
    asked = yaml.safe_load((HERE / "questions.yaml").read_text())
    questions = [
        Question(each["ask"], tuple(each["find"]) if isinstance(each["find"], list) else (each["find"],))
        for each in asked["questions"]
    ]
    texts = {path.stem: path.read_text().strip().split("\n\n") for path in sorted(HERE.glob("texts/*.txt"))}
    return Matter(texts, questions, asked["nothing"])


def coded() -> Matter:
    """Return the synthetic list of error codes."""
    passages, asked = codes.make()
    return Matter({"faults": passages}, [Question(ask, (f"{code}:",)) for ask, code in asked], [])


def fill(name: str, matter: Matter) -> Any:
    """Store the texts in two datasets, one with vectors and one without."""
    from benchmarks.retrieval import embedding
    from files.models import Dataset
    from tenants.models import Tenant
    from tests import factories

    tenant = Tenant.objects.create(slug=name, name=name)
    for entry in ("embedder", ""):
        dataset = Dataset.objects.create(tenant=tenant, name=entry or "words", embedding=entry)
        for title, passages in matter.passages.items():
            place = factories.dataset_file(dataset, filename=title, chunk_count=len(passages))
            vectors: Sequence[Any] = (
                embedding.vectors(passages, query=False) if entry else [None] * len(passages)
            )
            for passage, vector in zip(passages, vectors, strict=True):
                factories.chunk(place, passage, vector=vector)
    return tenant


def ask(tenant: Any, matter: Matter, dataset: str, mode: str) -> Found:
    from files.backends import Caller
    from files.search import search

    caller = Caller(tenant.pk, 0, "")
    ids = [tenant.datasets.get(name=dataset).pk]

    async def passages(question: str) -> list[Any]:
        return await search(caller, ids, question, limit=DEPTH, mode=mode)

    async def all_of_them() -> Found:
        places, relevance = [], []
        for question in matter.questions:
            found = await passages(question.ask)
            right = (at for at, p in enumerate(found, 1) if any(text in p.text for text in question.find))
            places.append(next(right, 0))
            relevance.append(max((p.relevance for p in found), default=0.0))
        other = [max((p.relevance for p in await passages(each)), default=0.0) for each in matter.nothing]
        return Found(places, relevance, other)

    return asyncio.run(all_of_them())


def separated(found: Found) -> tuple[float, float]:
    """The relevance threshold that best separates answered from unanswered questions, and its accuracy."""

    def right(cut: float) -> float:
        return (mean(r >= cut for r in found.relevance) + mean(r < cut for r in found.nothing)) / 2

    best = max(sorted({*found.relevance, *found.nothing}), key=right)
    return best, right(best)


HEADING = """\
| search | recall@1 | recall@5 | recall@10 | MRR@10 |
|---|---|---|---|---|"""


def line(name: str, found: Found) -> str:
    return f"| {name} | {' | '.join(f'{found.recall(at):.3f}' for at in (1, 5, 10))} | {found.mrr:.3f} |"


def table(results: dict[str, Found]) -> str:
    return "\n".join([HEADING, *(line(name, found) for name, found in results.items())])


def relevance_table(results: dict[str, Found]) -> str:
    lines = [
        "| search | median, answered | median, not answered | best cut | right |",
        "|---|---|---|---|---|",
    ]
    for name, found in results.items():
        cut, right = separated(found)
        medians = f"{median(found.relevance):.2f} | {median(found.nothing):.2f}"
        lines.append(f"| {name} | {medians} | {cut:.2f} | {right:.2f} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="also write benchmarks/results/retrieval.md")
    parser.add_argument(
        "--misses", action="store_true", help="list the questions that hybrid does not rank first"
    )
    arguments = parser.parse_args()
    matters = {"questions": written(), "codes": coded()}
    with database():
        from django.test import override_settings

        model = "benchmarks.retrieval.embedding"
        with override_settings(FILES_EMBEDDER=f"{model}.embed", FILES_SCALE=f"{model}.scale"):
            tenants = {name: fill(name, matter) for name, matter in matters.items()}
            results = {
                name: {mode: ask(tenants[name], matter, "embedder", mode) for mode in MODES}
                for name, matter in matters.items()
            }
            by_words = ask(tenants["questions"], matters["questions"], "words", "hybrid")
    results["both"] = {mode: joined(results[name][mode] for name in matters) for mode in MODES}
    text = report(results, by_words)
    print(text)
    if arguments.misses:
        for name, matter in matters.items():
            places = zip(matter.questions, *(results[name][mode].places for mode in MODES), strict=True)
            print(*(f"{at} {question.ask}" for question, *at in places if at[0] != 1), sep="\n")
    if arguments.write:
        (CHECKOUT / "benchmarks/results/retrieval.md").write_text(text + "\n")
    return verdict(results)


def joined(found: Iterable[Found]) -> Found:
    given = list(found)
    return Found([place for each in given for place in each.places], [], [])


def report(results: dict[str, dict[str, Found]], by_words: Found) -> str:
    shown = results["questions"]
    relevant = {"with vectors": shown["hybrid"], "words alone": by_words}
    return f"""# What search finds

The embedding model is the one of this machine (multilingual E5 small, four bits); see [../retrieval/](../retrieval/README.md).

60 everyday questions on 131 passages of historical law and speeches, written before any tuning:

{table(shown)}

40 questions that name one of 120 error codes, made after the tuning:

{table(results["codes"])}

Both together:

{table(results["both"])}

Relevance of the best passage, for the 60 questions and for 20 that the texts do not answer; a threshold is right if it
keeps the former and drops the latter:

{relevance_table(relevant)}"""


def verdict(results: dict[str, dict[str, Found]]) -> int:
    hybrid = results["questions"]["hybrid"]
    reached = {"recall@5": hybrid.recall(5), "MRR": hybrid.mrr}
    problems = [
        f"{name} of hybrid is {reached[name]:.3f}, below {floor}"
        for name, floor in FLOOR.items()
        if reached[name] < floor
    ]
    both = results["both"]
    problems += [
        f"{mode} alone finds more than hybrid"
        for mode in MODES[1:]
        if both["hybrid"].mrr < both[mode].mrr - TOLERANCE
    ]
    for problem in problems:
        print(problem, file=sys.stderr)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
