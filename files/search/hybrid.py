"""Hybrid search: embeds the query, combines vector and full-text search, and returns ranked chunks."""

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from files.backends import Caller, embedder, scale
from files.models import Dataset
from files.models.chunks import plain
from files.models.datasets import ACTIVITY_PRECISION
from files.search import query_terms, statements
from files.search.filters import condition
from files.search.relevance import relevance
from files.search.sql import SQL, joined, sql
from files.search.statements import QueryVector, SearchScope
from gtapi.database import in_thread, storable
from gtapi.errors import APIError
from gtapi.validation import integer, one_of

logger = logging.getLogger(__name__)

MODES = ("hybrid", "vector", "text")
#: Most results of a search.
MAX_LIMIT = 50
#: Characters of a query that are embedded; of a longer query, its beginning and its end.
MAX_EMBEDDED = 4_000
#: Characters of a query that full-text search reads.
MAX_READ = 50_000
#: Number of chunks up to which all vectors are compared exactly, without the HNSW index.
EXACT = 10_000
#: HNSW settings: scan until enough vectors pass the filters, or until the most tuples are read.
#: With only POOL candidates, it missed up to a fifth of the nearest ten among 500,000.
SCAN = {
    "hnsw.iterative_scan": "strict_order",
    "hnsw.ef_search": str(3 * statements.POOL),
    "hnsw.max_scan_tuples": "20000",
    "hnsw.scan_mem_multiplier": "4",
}
#: Longest file id, as in the column.
MAX_FILE_ID = 40
#: How often a search restarts because a dataset switched to another embedding in the meantime.
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A chunk found by a search.

    ``score`` (0 to 1) orders the results of one search; ``relevance`` (0 to 1) is comparable between searches.
    ``similarity`` is the cosine similarity, None if only full-text search applied.
    """

    chunk_id: int
    dataset_id: str
    file_id: str
    filename: str
    attributes: dict[str, Any]
    text: str
    tokens: int
    page: int | None
    heading: str
    position: int
    score: float
    relevance: float
    similarity: float | None


async def search(
    caller: Caller,
    dataset_ids: Sequence[str],
    query: str,
    *,
    limit: int = 10,
    file_ids: Sequence[str] | None = None,
    filters: dict[str, Any] | None = None,
    mode: str = "hybrid",
) -> list[SearchResult]:
    """Search a tenant's datasets and return the best results, best first.

    Only ready files in unexpired datasets are searched. A dataset without vectors, or whose embedding model
    does not answer, is searched by full text only.

    Args:
        caller: the caller; datasets of other tenants return nothing.
        dataset_ids: the datasets; the calling code checks access to them.
        query: the query. Full-text results must contain phrases in double quotes.
        limit: most results.
        file_ids: the files to search; None for all.
        filters: conditions on the files' attributes, in OpenAI's schema; see ``files.search.filters``.
        mode: ``hybrid``, ``vector`` or ``text``.

    Raises:
        BadRequest: the filters, mode or limit are invalid.
    """
    one_of(MODES)("mode", mode)
    integer(1)("limit", limit)
    scope = SearchScope(caller.tenant_id, tuple(map(storable, dataset_ids)), _files(file_ids, filters))
    request = _Request(scope, plain(storable(query))[:MAX_READ].strip(), min(limit, MAX_LIMIT), mode)
    if not request.query or not dataset_ids:
        return []
    for _ in range(ATTEMPTS):
        searched = await in_thread(_searched_datasets, scope)
        if not searched:
            break
        query_vectors = await _query_vectors(caller, request.query, searched) if mode != "text" else []
        found = await in_thread(_results, request, searched, query_vectors)
        if found is not None:
            return found
    return []


@dataclass(frozen=True, slots=True)
class _Request:
    """A validated search request."""

    scope: SearchScope
    query: str
    limit: int
    mode: str


@dataclass(frozen=True, slots=True)
class _SearchedDataset:
    """A dataset to search: its id, the catalog entry of its vectors and its number of chunks."""

    id: str
    embedding: str
    chunks: int


def _files(file_ids: Sequence[str] | None, filters: dict[str, Any] | None) -> SQL:
    attributes = condition(filters, SQL("p.attributes"))
    if file_ids is None:
        return attributes
    ids = [storable(file_id) for file_id in file_ids if len(file_id) <= MAX_FILE_ID]
    return sql("p.file_id = ANY({}) AND {}", ids, attributes)


def _searched_datasets(scope: SearchScope) -> list[_SearchedDataset]:
    """Return the unexpired datasets that have files to search, and record them as active."""
    statement = sql(
        "SELECT d.id, d.indexed_embedding, count(p.id), COALESCE(sum(p.chunk_count), 0),"
        " NOT d.hidden AND COALESCE(d.last_active_at < now() - {}, TRUE) FROM files_dataset d"
        " LEFT JOIN files_datasetfile p ON p.dataset_id = d.id AND p.tenant_id = d.tenant_id AND {}"
        " WHERE d.tenant_id = {} AND d.id = ANY({}) AND COALESCE(d.last_active_at + d.expires_after > now(), TRUE)"
        " GROUP BY d.id ORDER BY d.id",
        ACTIVITY_PRECISION,
        scope.dataset_files(),
        scope.tenant_id,
        list(scope.dataset_ids),
    )
    rows = _rows(statement)
    if due := [id_ for id_, *_, is_due in rows if is_due]:
        Dataset.objects.filter(tenant=scope.tenant_id, pk__in=due).note_activity()
    return [
        _SearchedDataset(id_, embedding, int(chunks)) for id_, embedding, files, chunks, _ in rows if files
    ]


def _embedding_changed(tenant_id: int, searched: Sequence[_SearchedDataset]) -> bool:
    """Return whether one of these datasets has switched to another embedding, or was deleted."""
    datasets = Dataset.objects.filter(tenant=tenant_id, pk__in=[dataset.id for dataset in searched])
    now = dict(datasets.values_list("pk", "indexed_embedding"))
    return now != {dataset.id: dataset.embedding for dataset in searched}


async def _query_vectors(
    caller: Caller, query: str, searched: Sequence[_SearchedDataset]
) -> list[QueryVector]:
    """Return the query's vector by each embedding model that answers."""
    names = sorted({dataset.embedding for dataset in searched} - {""})
    vectors = await asyncio.gather(*(_embed_query(caller, name, query) for name in names))
    query_vectors = []
    for name, vector in zip(names, vectors, strict=True):
        if vector and any(vector):
            datasets = [dataset for dataset in searched if dataset.embedding == name]
            exact = sum(dataset.chunks for dataset in datasets) <= EXACT
            between = await scale()(caller.tenant_id, name)
            query_vectors.append(
                QueryVector(name, tuple(dataset.id for dataset in datasets), vector, between, exact)
            )
    return query_vectors


async def _embed_query(caller: Caller, name: str, query: str) -> list[float] | None:
    half = MAX_EMBEDDED // 2
    text = query if len(query) <= MAX_EMBEDDED else f"{query[:half]} {query[-half:]}"
    within = settings.SEARCH_EMBEDDING_SECONDS
    try:
        (vector,) = await embedder()(caller, name, [text], query=True, within=within)
    except APIError as error:
        # The provider's message is not logged, since it may quote the query.
        logger.warning(
            "tenant %d is searched without vectors of %s: %d %s",
            caller.tenant_id,
            name,
            error.status,
            error.code,
        )
        return None
    return vector


def _results(
    request: _Request, searched: Sequence[_SearchedDataset], query_vectors: Sequence[QueryVector]
) -> list[SearchResult] | None:
    """Return the results; None if a dataset has switched to another embedding in the meantime."""
    scope = request.scope
    compared = {dataset_id for query_vector in query_vectors for dataset_id in query_vector.dataset_ids}
    # Datasets without vectors are searched by full text in every mode.
    by_text = [dataset for dataset in searched if request.mode != "vector" or dataset.id not in compared]
    parsed = query_terms.parse_query(request.query, scope.sample(sum(dataset.chunks for dataset in searched)))
    lists = [_near(scope, query_vector, searched) for query_vector in query_vectors]
    for with_vectors in (True, False):
        datasets = [dataset for dataset in by_text if (dataset.id in compared) is with_vectors]
        if parsed is not None and datasets:
            text_scope = replace(scope, dataset_ids=tuple(dataset.id for dataset in datasets))
            chunks = sum(dataset.chunks for dataset in datasets)
            lists.append(statements.text_list(text_scope, parsed, chunks, with_vectors=with_vectors))
    if not lists:
        return []
    rows = _rows(statements.fused(scope, query_vectors, parsed, lists, request.limit))
    # Checked last: later changes do not affect these results.
    if query_vectors and _embedding_changed(scope.tenant_id, searched):
        return None
    scales = {query_vector.embedding: query_vector.scale for query_vector in query_vectors}
    # A chunk is in at most one vector list and one full-text list.
    best = (bool(query_vectors) + bool(len(lists) > len(query_vectors))) / (statements.SMOOTHING + 1)
    return [_result(row, best, scales) for row in rows]


def _near(scope: SearchScope, query_vector: QueryVector, searched: Sequence[_SearchedDataset]) -> SQL:
    """Return the list of nearest chunks, found by the HNSW index if there are many."""
    if query_vector.exact:
        return statements.vector_list(scope, query_vector)
    with transaction.atomic():
        _rows(
            sql("SELECT {}", joined(", ", (sql("set_config({}, {}, TRUE)", *item) for item in SCAN.items())))
        )
        rows = _rows(statements.nearest(scope, query_vector))
    chunks = sum(dataset.chunks for dataset in searched if dataset.id in query_vector.dataset_ids)
    if len(rows) < min(statements.POOL, chunks):
        # The index scan ended among vectors that the filters exclude.
        return statements.vector_list(scope, replace(query_vector, exact=True))
    return statements.ranked_list([id_ for id_, distance in sorted(rows, key=lambda row: (row[1], row[0]))])


def _rows(statement: SQL) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement.text, statement.values)
        return list(cursor.fetchall())


def _result(row: tuple[Any, ...], best: float, scales: dict[str, tuple[float, float]]) -> SearchResult:
    chunk_id, dataset_id, file_id, filename, attributes, *rest = row
    text, tokens, page, heading, position, fused, embedding, similarity, coverage = rest
    return SearchResult(
        chunk_id, dataset_id, file_id, filename, json.loads(attributes), text, tokens, page, heading, position,
        score=min(1.0, fused / best),
        relevance=relevance(similarity, scales.get(embedding, (0.0, 1.0)), coverage),
        similarity=similarity,
    )  # fmt: skip
