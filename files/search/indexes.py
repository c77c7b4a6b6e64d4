"""HNSW indexes of vectors: one for each dimension that enough rows have, built concurrently.

Small datasets are searched exactly and need no index. pgvector's HNSW requires a fixed number of dimensions, so
each is a partial index on an expression.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import OperationalError, connection
from psycopg.errors import DiskFull

logger = logging.getLogger(__name__)

#: Rows of a dimension from which an index is built: smaller searches do not use one.
MIN_ROWS = 10_000
#: Most dimensions of a ``halfvec`` that pgvector can index.
MAX_DIMENSIONS = 4_000
#: HNSW parameters ``m`` and ``ef_construction``.
NEIGHBOURS, CANDIDATES = 16, 64
#: Advisory lock against building an index twice at once.
LOCK = 7_062_001


def name_of(dimensions: int) -> str:
    return f"files_vector_hnsw_{dimensions}"


def make_missing() -> list[int]:
    """Build the missing indexes, and drop invalid ones; return the dimensions built.

    It does nothing while another process builds indexes.
    """
    with _build_lock() as acquired:
        if not acquired:
            return []
        _drop_invalid()
        missing = [dimensions for dimensions in _frequent_dimensions() if not _exists(dimensions)]
        for dimensions in missing:
            _make(dimensions)
        return missing


@contextmanager
def _build_lock() -> Iterator[bool]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        (acquired,) = cursor.fetchone()
        try:
            yield acquired
        finally:
            if acquired:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def _frequent_dimensions() -> list[int]:
    """Return the dimensions that enough rows have, without counting all rows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM (SELECT 1 FROM files_chunkvector LIMIT %s) few", [MIN_ROWS])
        if cursor.fetchone()[0] < MIN_ROWS:
            return []
        cursor.execute(
            "SELECT dimensions FROM files_chunkvector GROUP BY 1 HAVING count(*) >= %s", [MIN_ROWS]
        )
        return sorted(dimensions for (dimensions,) in cursor.fetchall() if dimensions <= MAX_DIMENSIONS)


def _exists(dimensions: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name_of(dimensions)])
        return bool(cursor.fetchone()[0])


def _drop_invalid() -> None:
    """Drop indexes whose build was interrupted, which PostgreSQL never uses."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " WHERE i.indrelid = 'files_chunkvector'::regclass AND NOT i.indisvalid AND c.relname LIKE %s",
            [name_of(0)[:-1] + "%"],
        )
        for (name,) in cursor.fetchall():
            logger.warning("the index %s is invalid and will be rebuilt", name)
            cursor.execute(f'DROP INDEX CONCURRENTLY "{name}"')


def _make(dimensions: int) -> None:
    logger.info("building the index of vectors with %d dimensions", dimensions)
    with connection.cursor() as cursor:
        # A graph that does not fit in memory is built on disk, which takes many times as long.
        cursor.execute("SELECT set_config('maintenance_work_mem', %s, FALSE)", [settings.SEARCH_INDEX_MEMORY])
        cursor.execute("SET statement_timeout = 0")
        try:
            _create(dimensions)
        except OperationalError as error:
            if not isinstance(error.__cause__, DiskFull):
                raise
            # Parallel workers share memory in /dev/shm, which is small in containers; one process needs none.
            logger.warning("the index is built by one process: %s", error)
            _drop_invalid()
            cursor.execute("SET max_parallel_maintenance_workers = 0")
            _create(dimensions)
        finally:
            for name in ("maintenance_work_mem", "statement_timeout", "max_parallel_maintenance_workers"):
                cursor.execute(f"RESET {name}")
    logger.info("the index of vectors with %d dimensions is built", dimensions)


def _create(dimensions: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE INDEX CONCURRENTLY {name_of(dimensions)} ON files_chunkvector USING hnsw"
            f" ((vector::halfvec({dimensions})) halfvec_cosine_ops)"
            f" WITH (m = {NEIGHBOURS}, ef_construction = {CANDIDATES}) WHERE dimensions = {dimensions}"
        )
