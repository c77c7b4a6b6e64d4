"""Searches never return another tenant's chunks, even while rows change concurrently."""

import asyncio
import threading
import time

import pytest

from files.backends import Caller
from files.models import ChunkVector, Dataset
from files.models.chunks import vector_text
from files.search import search
from tests import factories
from tests.files.fake_embedder import WORDS, vector

pytestmark = pytest.mark.usefixtures("own_embedder")


@pytest.mark.parametrize("searches", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_canaries_never_leak_to_another_tenant(searches, shelf):
    """Both have the same texts, files and vectors, but for a word; B names all of A's datasets and files."""
    tenants = {name: factories.tenant() for name in ("canary-of-a", "canary-of-b")}
    ids, files = [], []
    for canary, tenant in tenants.items():
        for name in ("embedder", "wide", ""):
            dataset = factories.dataset(tenant, embedding=name)
            ids.append(dataset.pk)
            files.append(shelf(dataset, *(f"{canary} {word} {word}" for word in WORDS)).file_id)
    asking = Caller(tenants["canary-of-b"].pk, 0, "")

    async def seen() -> str:
        results = []
        for number in range(searches):
            query = f"canary-of-a {WORDS[number % len(WORDS)]}"
            mode = ("hybrid", "vector", "text")[number % 3]
            more = {"file_ids": files} if number % 2 else {}
            results += await search(asking, ids, query, mode=mode, limit=50, **more)
        return " ".join(p.text for p in results)

    query_plan = asyncio.run(seen())
    assert query_plan.count("canary-of-b") >= searches
    assert "canary-of-a" not in query_plan


def test_search_never_mixes_two_generations(shelf):
    dataset = factories.dataset(factories.tenant(), embedding="embedder")
    shelf(dataset, *["cat"] * 20)
    for chunk in dataset.chunks.all():
        ChunkVector.objects.create(
            chunk=chunk, tenant_id=chunk.tenant_id, dataset_id=dataset.pk, generation=2, dimensions=8,
            vector=vector_text(vector("moon")),
        )  # fmt: skip
    stop = threading.Event()

    def swap() -> None:
        from django.db import connection

        generation = 1
        while not stop.is_set():
            generation = 3 - generation
            Dataset.objects.filter(pk=dataset.pk).update(generation=generation)
        connection.close()

    async def kinds() -> set[tuple[float, ...]]:
        seen, searches, deadline = set(), 0, time.monotonic() + 40
        # As often as it takes to have met both, or it would not be known that they were swapped meanwhile.
        while (searches < 60 or len(seen) < 2) and time.monotonic() < deadline:
            searches += 1
            results = await search(
                Caller(dataset.tenant_id, 0, ""), [dataset.pk], "moon", limit=20, mode="vector"
            )
            seen.add((len(results), *sorted({round(p.similarity or 0, 3) for p in results})))
        return seen

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        seen = asyncio.run(kinds())
    finally:
        stop.set()
        swapping.join()
    assert seen == {(20, 0.0), (20, 1.0)}
