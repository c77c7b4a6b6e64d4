"""Indexes of vectors: one for each dimension that enough rows have, made while everything else goes on.

Small datasets are searched by comparing all of their vectors, and need none. pgvector's HNSW wants a fixed number
of dimensions, so each is an index of an expression over the rows of that dimension.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import OperationalError, connection
from psycopg.errors import DiskFull

logger = logging.getLogger(__name__)

#: Rows of a dimension from which an index is worth its making: no search of fewer of them asks for one.
ENOUGH = 10_000
#: The most dimensions that pgvector indexes of a ``halfvec``.
MOST_DIMENSIONS = 4_000
#: How many neighbours a row has in the graph, and how many candidates are looked at when it is put in.
NEIGHBOURS, CANDIDATES = 16, 64
#: The lock that keeps two workers from making the same index.
LOCK = 7_062_001


def name_of(dimensions: int) -> str:
    return f"files_vector_hnsw_{dimensions}"


def make_missing() -> list[int]:
    """Make the indexes that are missing, and drop those whose making broke off; returns the dimensions made.

    It does nothing where another process is at it.
    """
    with _alone() as alone:
        if not alone:
            return []
        _drop_broken()
        missing = [dimensions for dimensions in _wanted() if not _exists(dimensions)]
        for dimensions in missing:
            _make(dimensions)
        return missing


@contextmanager
def _alone() -> Iterator[bool]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        (alone,) = cursor.fetchone()
        try:
            yield alone
        finally:
            if alone:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def _wanted() -> list[int]:
    """Return the dimensions that enough rows have, without counting all rows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM (SELECT 1 FROM files_chunkvector LIMIT %s) few", [ENOUGH])
        if cursor.fetchone()[0] < ENOUGH:
            return []
        cursor.execute("SELECT dimensions FROM files_chunkvector GROUP BY 1 HAVING count(*) >= %s", [ENOUGH])
        return sorted(dimensions for (dimensions,) in cursor.fetchall() if dimensions <= MOST_DIMENSIONS)


def _exists(dimensions: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name_of(dimensions)])
        return bool(cursor.fetchone()[0])


def _drop_broken() -> None:
    """Drop what a process that died while it made an index left behind: PostgreSQL never searches by it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " WHERE i.indrelid = 'files_chunkvector'::regclass AND NOT i.indisvalid AND c.relname LIKE %s",
            [name_of(0)[:-1] + "%"],
        )
        for (name,) in cursor.fetchall():
            logger.warning("the index %s is not whole and is made anew", name)
            cursor.execute(f'DROP INDEX CONCURRENTLY "{name}"')


def _make(dimensions: int) -> None:
    logger.info("making the index of vectors with %d dimensions", dimensions)
    with connection.cursor() as cursor:
        # A graph that outgrows its memory is continued on the disk, which takes many times as long.
        cursor.execute("SELECT set_config('maintenance_work_mem', %s, FALSE)", [settings.SEARCH_INDEX_MEMORY])
        cursor.execute("SET statement_timeout = 0")
        try:
            _create(dimensions)
        except OperationalError as error:
            if not isinstance(error.__cause__, DiskFull):
                raise
            # Several processes share that memory through /dev/shm, of which a container has little; one needs none.
            logger.warning("the index is made by one process: %s", error)
            _drop_broken()
            cursor.execute("SET max_parallel_maintenance_workers = 0")
            _create(dimensions)
        finally:
            for name in ("maintenance_work_mem", "statement_timeout", "max_parallel_maintenance_workers"):
                cursor.execute(f"RESET {name}")
    logger.info("the index of vectors with %d dimensions is made", dimensions)


def _create(dimensions: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE INDEX CONCURRENTLY {name_of(dimensions)} ON files_chunkvector USING hnsw"
            f" ((vector::halfvec({dimensions})) halfvec_cosine_ops)"
            f" WITH (m = {NEIGHBOURS}, ef_construction = {CANDIDATES}) WHERE dimensions = {dimensions}"
        )
