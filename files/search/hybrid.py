"""What a search does, from a question to passages."""

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
from files.models.datasets import NOTED
from files.search import query_terms, statements
from files.search.filters import condition
from files.search.relevance import relevance
from files.search.sql import SQL, joined, sql
from files.search.statements import Probe, Scope
from gtapi.database import in_thread, storable
from gtapi.errors import APIError
from gtapi.validation import integer, one_of

logger = logging.getLogger(__name__)

MODES = ("hybrid", "vector", "text")
#: Most passages that a search returns.
MAX_LIMIT = 50
#: Characters of a question that are embedded; of a longer one, its beginning and its end.
MAX_EMBEDDED = 4_000
#: Characters of a question in which phrases and words are looked for.
MAX_READ = 50_000
#: Chunks up to which all vectors are compared, and an index of vectors is not asked.
EXACT = 10_000
#: How the index is read: it goes on until enough of what it finds is asked for, or it has seen so many vectors.
#: With as many candidates as are wanted, it missed up to a fifth of the nearest ten among 500,000.
SCAN = {
    "hnsw.iterative_scan": "strict_order",
    "hnsw.ef_search": str(3 * statements.POOL),
    "hnsw.max_scan_tuples": "20000",
    "hnsw.scan_mem_multiplier": "4",
}
#: Characters of a file's id: the column's.
LONGEST_ID = 40
#: How often a search begins anew because a dataset took up vectors of another entry meanwhile.
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A chunk that a search found.

    ``score`` (0 to 1) orders the passages of one search. ``relevance`` (0 to 1) can be compared between searches.
    ``similarity`` is the cosine of the vectors' angle, None where the passage was compared by words alone.
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
    """Return the passages of a tenant's datasets that fit best, the best first.

    Only files that are ready are searched, and datasets that have not expired. Where a dataset has no vectors, or
    its embedding entry does not answer, its words alone are searched.

    Args:
        caller: who asks; datasets of other tenants find nothing.
        dataset_ids: the datasets; whether the caller may search them is for the caller's code to know.
        query: the question. What stands in double quotes has to be in the passages that its words find.
        limit: most passages that are returned.
        file_ids: the files that are searched; None for all.
        filters: what the files' attributes have to be, in OpenAI's shape; see ``files.search.filters``.
        mode: ``hybrid``, ``vector`` or ``text``.

    Raises:
        BadRequest: filters, mode or limit are not what they have to be.
    """
    one_of(MODES)("mode", mode)
    integer(1)("limit", limit)
    scope = Scope(caller.tenant_id, tuple(map(storable, dataset_ids)), _files(file_ids, filters))
    wanted = _Wanted(scope, plain(storable(query))[:MAX_READ].strip(), min(limit, MAX_LIMIT), mode)
    if not wanted.query or not dataset_ids:
        return []
    for _ in range(ATTEMPTS):
        searched = await in_thread(_searched, scope)
        if not searched:
            break
        probes = await _probes(caller, wanted.query, searched) if mode != "text" else []
        found = await in_thread(_found, wanted, searched, probes)
        if found is not None:
            return found
    return []


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is searched for, and where."""

    scope: Scope
    query: str
    limit: int
    mode: str


@dataclass(frozen=True, slots=True)
class _Searched:
    """A dataset that holds what can be found: the entry that made its vectors, and how many chunks there are."""

    id: str
    embedding: str
    chunks: int


def _files(file_ids: Sequence[str] | None, filters: dict[str, Any] | None) -> SQL:
    attributes = condition(filters, SQL("p.attributes"))
    if file_ids is None:
        return attributes
    known = [storable(file_id) for file_id in file_ids if len(file_id) <= LONGEST_ID]
    return sql("p.file_id = ANY({}) AND {}", known, attributes)


def _searched(scope: Scope) -> list[_Searched]:
    """Return the datasets that hold what can be found; those that have not expired are active by the search."""
    statement = sql(
        "SELECT d.id, d.indexed_embedding, count(p.id), COALESCE(sum(p.chunk_count), 0),"
        " NOT d.hidden AND COALESCE(d.last_active_at < now() - {}, TRUE) FROM files_dataset d"
        " LEFT JOIN files_datasetfile p ON p.dataset_id = d.id AND p.tenant_id = d.tenant_id AND {}"
        " WHERE d.tenant_id = {} AND d.id = ANY({}) AND COALESCE(d.last_active_at + d.expires_after > now(), TRUE)"
        " GROUP BY d.id ORDER BY d.id",
        NOTED,
        scope.dataset_files(),
        scope.tenant_id,
        list(scope.dataset_ids),
    )
    rows = _rows(statement)
    if due := [id_ for id_, *_, is_due in rows if is_due]:
        Dataset.objects.filter(tenant=scope.tenant_id, pk__in=due).note_activity()
    return [_Searched(id_, embedding, int(chunks)) for id_, embedding, files, chunks, _ in rows if files]


def _moved(tenant_id: int, searched: Sequence[_Searched]) -> bool:
    """Tell whether one of these datasets shows vectors of another entry by now, or is gone."""
    datasets = Dataset.objects.filter(tenant=tenant_id, pk__in=[dataset.id for dataset in searched])
    now = dict(datasets.values_list("pk", "indexed_embedding"))
    return now != {dataset.id: dataset.embedding for dataset in searched}


async def _probes(caller: Caller, query: str, searched: Sequence[_Searched]) -> list[Probe]:
    """Return the question's vector by each embedding entry that answers."""
    names = sorted({dataset.embedding for dataset in searched} - {""})
    made = await asyncio.gather(*(_embedded(caller, name, query) for name in names))
    probes = []
    for name, vector in zip(names, made, strict=True):
        if vector and any(vector):
            datasets = [dataset for dataset in searched if dataset.embedding == name]
            exact = sum(dataset.chunks for dataset in datasets) <= EXACT
            between = await scale()(caller.tenant_id, name)
            probes.append(Probe(name, tuple(dataset.id for dataset in datasets), vector, between, exact))
    return probes


async def _embedded(caller: Caller, name: str, query: str) -> list[float] | None:
    half = MAX_EMBEDDED // 2
    text = query if len(query) <= MAX_EMBEDDED else f"{query[:half]} {query[-half:]}"
    within = settings.SEARCH_EMBEDDING_SECONDS
    try:
        (vector,) = await embedder()(caller, name, [text], query=True, within=within)
    except APIError as error:
        # What the provider said stands in the usage record: it may quote the question.
        said = f"{error.status} {error.code}"
        logger.warning("tenant %d is searched without vectors of %s: %s", caller.tenant_id, name, said)
        return None
    return vector


def _found(
    wanted: _Wanted, searched: Sequence[_Searched], probes: Sequence[Probe]
) -> list[SearchResult] | None:
    """Return the passages; None where a dataset has gone over to another embedding entry meanwhile."""
    scope = wanted.scope
    compared = {dataset_id for probe in probes for dataset_id in probe.dataset_ids}
    # What cannot be compared by vectors is searched by words, whatever was asked for.
    by_words = [dataset for dataset in searched if wanted.mode != "vector" or dataset.id not in compared]
    question = query_terms.read(wanted.query, scope.sample(sum(dataset.chunks for dataset in searched)))
    lists = [_near(scope, probe, searched) for probe in probes]
    for beside in (True, False):
        datasets = [dataset for dataset in by_words if (dataset.id in compared) is beside]
        if question is not None and datasets:
            worded = replace(scope, dataset_ids=tuple(dataset.id for dataset in datasets))
            chunks = sum(dataset.chunks for dataset in datasets)
            lists.append(statements.worded(worded, question, chunks, beside_vectors=beside))
    if not lists:
        return []
    made = statements.statement(scope, probes, question, lists, wanted.limit)
    rows = _rows(made)
    # Looked at last: what changes after it does not concern these passages.
    if probes and _moved(scope.tenant_id, searched):
        return None
    scales = {probe.embedding: probe.scale for probe in probes}
    # A passage is in one list of vectors and in one of words, at most.
    best = (bool(probes) + bool(len(lists) > len(probes))) / (statements.SMOOTHING + 1)
    return [_passage(row, best, scales) for row in rows]


def _near(scope: Scope, probe: Probe, searched: Sequence[_Searched]) -> SQL:
    """Return the list of the nearest chunks, looked up by the index of vectors where there are many."""
    if probe.exact:
        return statements.near(scope, probe)
    with transaction.atomic():
        _rows(
            sql("SELECT {}", joined(", ", (sql("set_config({}, {}, TRUE)", *item) for item in SCAN.items())))
        )
        found = _rows(statements.nearest(scope, probe))
    chunks = sum(dataset.chunks for dataset in searched if dataset.id in probe.dataset_ids)
    if len(found) < min(statements.POOL, chunks):
        # The index gave up among vectors of others, or of files that are not asked for.
        return statements.near(scope, replace(probe, exact=True))
    return statements.ranked([id_ for id_, distance in sorted(found, key=lambda row: (row[1], row[0]))])


def _rows(statement: SQL) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement.text, statement.values)
        return list(cursor.fetchall())


def _passage(row: tuple[Any, ...], best: float, scales: dict[str, tuple[float, float]]) -> SearchResult:
    chunk_id, dataset_id, file_id, filename, attributes, *rest = row
    text, tokens, page, heading, position, fused, embedding, similarity, coverage = rest
    return SearchResult(
        chunk_id, dataset_id, file_id, filename, json.loads(attributes), text, tokens, page, heading, position,
        score=min(1.0, fused / best),
        relevance=relevance(similarity, scales.get(embedding, (0.0, 1.0)), coverage),
        similarity=similarity,
    )  # fmt: skip
