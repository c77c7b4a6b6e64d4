"""Indexes of vectors: one for each dimension that enough rows have, made while everything else goes on.

Small datasets are searched by comparing all of their vectors, and need none. pgvector's HNSW wants a fixed number
of dimensions, so each is an index of an expression over the rows of that dimension.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

logger = logging.getLogger(__name__)

#: Rows of a dimension from which an index is worth its making: no search of fewer of them asks for one.
ENOUGH = 10_000
#: The most dimensions that pgvector indexes of a ``halfvec``.
MOST_DIMENSIONS = 4_000
#: How many neighbours a row has in the graph, and how many candidates are looked at when it is put in.
NEIGHBOURS, CANDIDATES = 16, 64
#: What the making may take of memory, and the lock that keeps two workers from making the same one.
MEMORY = "512MB"
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
        cursor.execute(f"SET maintenance_work_mem = '{MEMORY}'")
        cursor.execute("SET statement_timeout = 0")
        try:
            cursor.execute(
                f"CREATE INDEX CONCURRENTLY {name_of(dimensions)} ON files_chunkvector USING hnsw"
                f" ((vector::halfvec({dimensions})) halfvec_cosine_ops)"
                f" WITH (m = {NEIGHBOURS}, ef_construction = {CANDIDATES}) WHERE dimensions = {dimensions}"
            )
        finally:
            cursor.execute("RESET maintenance_work_mem")
            cursor.execute("RESET statement_timeout")
    logger.info("the index of vectors with %d dimensions is made", dimensions)
