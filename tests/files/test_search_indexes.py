"""Vector indexes: when they are built, and that indexed search equals exact search."""

import threading

import pytest
from django.db import connection

from files import tasks
from files.backends import Caller
from files.models import Chunk, ChunkVector
from files.models.chunks import vector_text
from files.search import hybrid, indexes, search, statements
from files.search.sql import SQL, sql
from files.search.statements import QueryVector, SearchScope
from tests import factories

#: A number of dimensions that no other test has.
DIMENSIONS = 24
CHUNKS = 400


def vector(number: int) -> list[float]:
    """Vectors on a spiral: near numbers are near each other."""
    return [((number + 1) / CHUNKS) ** (axis / 8) for axis in range(DIMENSIONS)]


async def embed(caller, name, texts, *, query, within):
    return [vector(int(text)) for text in texts]


def bulk(dataset, dataset_file, numbers):
    rows = Chunk.objects.bulk_create(
        Chunk(
            tenant=dataset.tenant,
            dataset=dataset,
            dataset_file=dataset_file,
            position=at,
            text=f"number {number}",
            tokens=2,
        )
        for at, number in enumerate(numbers)
    )
    ChunkVector.objects.bulk_create(
        ChunkVector(
            chunk=row, tenant=dataset.tenant, dataset=dataset, generation=1, dimensions=DIMENSIONS,
            vector=vector_text(vector(number)),
        )
        for row, number in zip(rows, numbers, strict=True)
    )  # fmt: skip


@pytest.fixture(scope="module")
def library(django_db_setup, django_db_blocker):
    """A dataset of two files, one of which has but a few chunks; and another tenant's, which is much alike."""
    with django_db_blocker.unblock():
        made = []
        for _ in range(2):
            dataset = factories.dataset(factories.tenant(), embedding="numbers")
            many = factories.dataset_file(dataset, filename="many", chunk_count=CHUNKS - 5)
            few = factories.dataset_file(dataset, filename="few", chunk_count=5, attributes={"kind": "rare"})
            bulk(dataset, many, range(CHUNKS - 5))
            bulk(dataset, few, range(CHUNKS - 5, CHUNKS))
            made.append(dataset)
        yield made[0]
        with connection.cursor() as cursor:
            cursor.execute(f"DROP INDEX IF EXISTS {indexes.name_of(DIMENSIONS)}")


@pytest.fixture
def indexed(library, monkeypatch, settings):
    """The library with an index, by which every search goes."""
    settings.FILES_EMBEDDER = "tests.files.test_search_indexes.embed"
    monkeypatch.setattr(indexes, "MIN_ROWS", CHUNKS)
    monkeypatch.setattr(hybrid, "EXACT", 0)
    indexes.make_missing()
    return library


def is_valid() -> bool | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)",
            [indexes.name_of(DIMENSIONS)],
        )
        row = cursor.fetchone()
    return row and row[0]


async def find(dataset, number, **more):
    caller = Caller(dataset.tenant_id, 0, "")
    return await search(caller, [dataset.pk], str(number), mode="vector", **more)


def test_index_is_built_once_enough_rows_have_a_dimension(library, monkeypatch):
    monkeypatch.setattr(indexes, "MIN_ROWS", 2 * CHUNKS + 1)
    indexes.make_missing()
    assert is_valid() is None
    monkeypatch.setattr(indexes, "MIN_ROWS", 2 * CHUNKS)
    assert indexes.make_missing() == [DIMENSIONS]
    assert is_valid()
    assert indexes.make_missing() == []


def test_index_is_rebuilt_after_an_aborted_build(indexed):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = to_regclass(%s)",
            [indexes.name_of(DIMENSIONS)],
        )
    assert indexes.make_missing() == [DIMENSIONS]
    assert is_valid()


def test_index_is_built_with_little_shared_memory(indexed, settings, caplog):
    settings.SEARCH_INDEX_MEMORY = "1TB"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX {indexes.name_of(DIMENSIONS)}")
        # A table this small would not be shared out.
        cursor.execute("ALTER TABLE files_chunkvector SET (parallel_workers = 2)")
        assert indexes.make_missing() == [DIMENSIONS]
        assert is_valid()
        cursor.execute("ALTER TABLE files_chunkvector RESET (parallel_workers)")
        assert "one process" in caplog.text
        cursor.execute("SHOW max_parallel_maintenance_workers")
        assert cursor.fetchone() != ("0",)


def test_concurrent_workers_build_an_index_once(indexed, django_db_blocker):
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX {indexes.name_of(DIMENSIONS)}")
        cursor.execute("SELECT pg_advisory_lock(%s)", [indexes.LOCK])
        made = []

        def other() -> None:
            made.append(indexes.make_missing())
            connection.close()

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert made == [[]]
        cursor.execute("SELECT pg_advisory_unlock(%s)", [indexes.LOCK])
    assert indexes.make_missing() == [DIMENSIONS]


def test_task_builds_the_index_concurrently_with_other_tasks(indexed):
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX {indexes.name_of(DIMENSIONS)}")
    tasks.index_vectors()
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "index"]
    thread.join(30)
    assert is_valid()


def test_search_of_many_chunks_uses_the_index(indexed):
    scope = SearchScope(indexed.tenant_id, (indexed.pk,), SQL("TRUE"))
    query_vector = QueryVector("numbers", (indexed.pk,), vector(7), (0, 1), exact=False)
    with connection.cursor() as cursor:
        # So few rows are sorted sooner than looked up; the benchmark has enough of them.
        cursor.execute("SET enable_sort = off")
        for parsed_query, uses in (
            (query_vector, True),
            (QueryVector("numbers", (indexed.pk,), vector(7), (0, 1), exact=True), False),
        ):
            explained = sql("EXPLAIN {}", statements.nearest(scope, parsed_query))
            cursor.execute(explained.text, explained.values)
            query_plan = str(cursor.fetchall())
            assert (indexes.name_of(DIMENSIONS) in query_plan) is uses
        cursor.execute("RESET enable_sort")


async def test_indexed_search_equals_exact_search(indexed, monkeypatch):
    for number in (0, 77, 200, 399):
        by_index = [p.text for p in await find(indexed, number)]
        monkeypatch.setattr(hybrid, "EXACT", 10**9)
        assert by_index == [p.text for p in await find(indexed, number)]
        monkeypatch.setattr(hybrid, "EXACT", 0)
        assert by_index[0] == f"number {number}"


@pytest.mark.parametrize("tuples", ["1", "20000"])
async def test_filter_does_not_starve_a_search(indexed, monkeypatch, tuples):
    """Even where the index gives up before it comes to a chunk that passes."""
    monkeypatch.setitem(hybrid.SCAN, "hnsw.max_scan_tuples", tuples)
    rare = {"type": "eq", "key": "kind", "value": "rare"}
    results = await find(indexed, 0, filters=rare)
    assert [p.text for p in results] == [f"number {number}" for number in range(CHUNKS - 5, CHUNKS)]


def test_index_settings_apply_to_one_search_only(indexed):
    """The connection goes back to a pool."""
    scope = SearchScope(indexed.tenant_id, (indexed.pk,), SQL("TRUE"))
    query_vector = QueryVector("numbers", (indexed.pk,), vector(3), (0, 1), exact=False)
    hybrid._near(scope, query_vector, [])
    with connection.cursor() as cursor:
        for name in hybrid.SCAN:
            cursor.execute(f"SHOW {name}")
            assert cursor.fetchone()[0] in ("off", "40", "20000", "1")
