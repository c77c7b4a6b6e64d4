"""The admin's trial search: the results of a query in a dataset, with their scores."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from time import perf_counter

from asgiref.sync import async_to_sync
from django import forms
from django.db import connection
from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from files.admin.dataset_files import CHUNKS_PER_PAGE
from files.backends import Caller
from files.models import Dataset, DatasetFile
from files.search import SearchResult, query_terms, search
from gtapi.errors import APIError
from gtapi.ids import object_id
from tenants.models import NO_KEY

MODES = {
    "hybrid": "Hybrid search",
    "vector": "Semantic search only",
    "text": "Full-text search only",
}
LIMITS = (5, 10, 20, 50)
#: Private-use characters that mark matches until the text is escaped.
_BEGIN, _END = "\ue000", "\ue001"
_MARKED = re.compile(f"({_BEGIN}.*?{_END})", re.DOTALL)
_HEADLINE = (
    "SELECT ts_headline(%s::regconfig, text, %s::tsquery, %s)"
    " FROM unnest(%s::text[]) WITH ORDINALITY AS passage (text, number) ORDER BY number"
)
_OPTIONS = f"HighlightAll=true, StartSel={_BEGIN}, StopSel={_END}"


class SearchForm(forms.Form):
    """A query, a search mode and the number of results."""

    query = forms.CharField(max_length=2000, error_messages={"required": "Enter a query."})
    mode = forms.ChoiceField(choices=list(MODES.items()), initial="hybrid")
    limit = forms.TypedChoiceField(
        coerce=int, choices=[(number, str(number)) for number in LIMITS], initial=10
    )


@dataclass(frozen=True, slots=True)
class DisplayedResult:
    """A search result with its matches highlighted, and a link to its chunk."""

    result: SearchResult
    text: SafeString
    link: str


@dataclass(slots=True)
class Trial:
    """The outcome of a search: results or an ``error``; ``text_only`` if the embedding model did not answer."""

    results: list[DisplayedResult] = field(default_factory=list)
    milliseconds: int = 0
    text_only: bool = False
    error: str = ""


def attempt(dataset: Dataset, query: str, mode: str, limit: int) -> Trial:
    """Search a dataset as an agent does, without a key."""
    caller = Caller(dataset.tenant_id, NO_KEY, object_id("req_"))
    started = perf_counter()
    try:
        # In a web process this runs on the server's event loop, which owns the connections to providers.
        results = async_to_sync(search)(caller, [dataset.pk], query, limit=limit, mode=mode)
    except APIError as error:
        return Trial(error=error.message)
    milliseconds = round((perf_counter() - started) * 1000)
    needs_vectors = mode != "text" and bool(dataset.indexed_embedding)
    text_only = needs_vectors and bool(results) and all(result.similarity is None for result in results)
    return Trial(_displayed(dataset, results, query), milliseconds, text_only)


def _displayed(dataset: Dataset, results: Sequence[SearchResult], query: str) -> list[DisplayedResult]:
    files = {result.file_id for result in results}
    dataset_files = dict(
        DatasetFile.objects.filter(dataset=dataset, file__in=files).values_list("file_id", "pk")
    )
    texts = highlighted([result.text for result in results], query)
    return [
        DisplayedResult(result, text, _link(dataset_files.get(result.file_id), result.position))
        for result, text in zip(results, texts, strict=True)
    ]


def _link(dataset_file: int | None, position: int) -> str:
    if dataset_file is None:
        return ""
    address = reverse("admin:files_datasetfile_change", args=[dataset_file])
    return f"{address}?chunks={position // CHUNKS_PER_PAGE + 1}#chunk-{position}"


def highlighted(texts: Sequence[str], query: str) -> list[SafeString]:
    """Return texts as HTML with the terms of a query marked, including inflected forms."""
    plain = [text.replace(_BEGIN, "").replace(_END, "") for text in texts]
    terms = query_terms.terms_of(query)
    any_word = " | ".join(str(term) for term in terms if not term.bigrams)
    with connection.cursor() as cursor:
        cursor.execute(_HEADLINE, [query_terms.CONFIG, any_word, _OPTIONS, plain])
        marked = [row[0] for row in cursor.fetchall()]
    return [
        mark_safe(escape(text).replace(_BEGIN, "<mark>").replace(_END, "</mark>"))  # noqa: S308 - escaped
        for text in _with_bigrams(marked, {term.lexeme for term in terms if term.bigrams})
    ]


def _with_bigrams(texts: list[str], bigrams: set[str]) -> list[str]:
    """Mark the query's bigrams too, in scripts without spaces."""
    if not bigrams:
        return texts
    # Longest first, since a bigram contains its first character.
    lengths = sorted(set(map(len, bigrams)), reverse=True)
    return ["".join(_mark(part, bigrams, lengths) for part in _MARKED.split(text)) for text in texts]


def _mark(text: str, bigrams: set[str], lengths: Sequence[int]) -> str:
    if text.startswith(_BEGIN):
        return text
    inside = bytearray(len(text))
    for start in range(len(text)):
        # Bigrams overlap.
        here = (text[start : start + length] for length in lengths)
        found = len(next((bigram for bigram in here if bigram in bigrams), ""))
        inside[start : start + found] = b"\1" * found
    parts: list[str] = []
    for is_found, run in groupby(zip(text, inside, strict=True), itemgetter(1)):
        letters = "".join(letter for letter, _ in run)
        parts.append(f"{_BEGIN}{letters}{_END}" if is_found else letters)
    return "".join(parts)
