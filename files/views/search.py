"""The search routes of datasets and of vector stores."""

from collections.abc import Sequence
from typing import Any, ClassVar

from files.backends import Caller
from files.schemas.datasets import results_object
from files.schemas.vector_stores import results_page
from files.search import SearchResult, search
from files.search.hybrid import MODES
from files.uploads.attach import check_ids
from files.views.base import DatasetView
from gtapi.database import in_thread
from gtapi.json_types import JSON
from gtapi.validation import Validator, integer, invalid, missing, number, of_type, one_of, validate
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse

DEFAULT_RESULTS = 10
MAX_RESULTS = 50
MAX_QUERIES = 10
#: Most characters of a query. The embedding model has its own limit.
MAX_QUERY = 10_000
_CHECKS: dict[str, Validator] = {
    "limit": integer(1, MAX_RESULTS),
    "max_num_results": integer(1, MAX_RESULTS),
    "filters": of_type(dict),
    "mode": one_of(MODES),
    "rewrite_query": of_type(bool),
    "ranking_options": of_type(dict),
}


class SearchView(DatasetView):
    """Base of both search routes."""

    scopes: ClassVar[dict[str, str]] = {}

    async def results(
        self, request: APIRequest, dataset_id: str, query: str, body: JSON
    ) -> list[SearchResult]:
        """Search a dataset that is granted to the key, and return the results, best first."""
        dataset = await in_thread(self.live_dataset, dataset_id)
        caller = Caller(self.auth.tenant_id, self.auth.id, request.request_id)
        return await search(
            caller,
            [dataset.pk],
            query,
            limit=_limit(body),
            file_ids=None if body.get("file_ids") is None else check_ids("file_ids", body["file_ids"]),
            filters=body.get("filters"),
            mode=body.get("mode") or "hybrid",
        )


class DatasetSearchView(SearchView):
    route = "/datasets/{id}/search"

    async def post(self, request: APIRequest, dataset_id: str) -> JSONResponse:
        body = await request.json()
        if body.get("query") is None:
            raise missing("query")
        _check_query("query", body["query"])
        validate(_CHECKS, body)
        results = await self.results(request, dataset_id, body["query"], body)
        return JSONResponse(results_object(dataset_id, body["query"], results))


class VectorStoreSearchView(SearchView):
    route = "/vector_stores/{id}/search"

    async def post(self, request: APIRequest, dataset_id: str) -> JSONResponse:
        body = await request.json()
        queries = _queries(body)
        validate(_CHECKS, body)
        threshold = _threshold(body.get("ranking_options") or {})
        best: dict[int, SearchResult] = {}
        for query in queries:
            for result in await self.results(request, dataset_id, query, body):
                other = best.get(result.chunk_id)
                if other is None or result.score > other.score:
                    best[result.chunk_id] = result
        ranked = sorted(best.values(), key=lambda result: -result.score)
        results = [result for result in ranked if result.relevance >= threshold][: _limit(body)]
        return JSONResponse(results_page(queries, results))


def _limit(body: JSON) -> int:
    return int(body.get("max_num_results") or body.get("limit") or DEFAULT_RESULTS)


def _check_query(name: str, query: Any) -> None:
    of_type(str)(name, query)
    if not query.strip():
        raise invalid(name, "it must not be empty")
    if len(query) > MAX_QUERY:
        raise invalid(name, f"expected at most {MAX_QUERY:,} characters, but got {len(query):,}")


def _queries(body: JSON) -> Sequence[str]:
    value = body.get("query")
    if value is None:
        raise missing("query")
    of_type(str, list)("query", value)
    if isinstance(value, str):
        _check_query("query", value)
        return [value]
    if not 1 <= len(value) <= MAX_QUERIES:
        raise invalid("query", f"expected between 1 and {MAX_QUERIES} strings, but got {len(value)}")
    for at, query in enumerate(value):
        _check_query(f"query[{at}]", query)
    return list(dict.fromkeys(value))


def _threshold(options: JSON) -> float:
    threshold = options.get("score_threshold")
    if threshold is None:
        return 0.0
    number(0, 1)("ranking_options.score_threshold", threshold)
    return float(threshold)
