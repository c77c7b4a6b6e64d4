"""«Try a search»: what a question finds in a dataset, with the figures by which it was found."""

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

from files.admin.dataset_files import CHUNKS_A_PAGE
from files.backends import Caller
from files.models import Dataset, DatasetFile
from files.search import SearchResult, query_terms, search
from gtapi.errors import APIError
from gtapi.ids import object_id
from tenants.models import NO_KEY

MODES = {
    "hybrid": "Meaning and words",
    "vector": "Meaning alone",
    "text": "Words alone",
}
LIMITS = (5, 10, 20, 50)
#: What stands around a found word until the text is escaped: characters that no document has a use for.
_BEGIN, _END = "\ue000", "\ue001"
_MARKED = re.compile(f"({_BEGIN}.*?{_END})", re.DOTALL)
_HEADLINE = (
    "SELECT ts_headline(%s::regconfig, text, %s::tsquery, %s)"
    " FROM unnest(%s::text[]) WITH ORDINALITY AS passage (text, number) ORDER BY number"
)
_OPTIONS = f"HighlightAll=true, StartSel={_BEGIN}, StopSel={_END}"


class SearchForm(forms.Form):
    """A question, and how it is searched for."""

    query = forms.CharField(max_length=2000, error_messages={"required": "Ask something first."})
    mode = forms.ChoiceField(choices=list(MODES.items()), initial="hybrid")
    limit = forms.TypedChoiceField(
        coerce=int, choices=[(number, str(number)) for number in LIMITS], initial=10
    )


@dataclass(frozen=True, slots=True)
class Found:
    """A passage as it is shown: its text with the found words marked, and where it stands."""

    passage: SearchResult
    text: SafeString
    link: str


@dataclass(slots=True)
class Trial:
    """What a search gave: passages, or an ``error``; ``words_alone`` where no vector could be asked."""

    found: list[Found] = field(default_factory=list)
    milliseconds: int = 0
    words_alone: bool = False
    error: str = ""


def attempt(dataset: Dataset, query: str, mode: str, limit: int) -> Trial:
    """Search a dataset as an agent would, without a key."""
    caller = Caller(dataset.tenant_id, NO_KEY, object_id("req_"))
    started = perf_counter()
    try:
        # In a web process this runs on the loop that serves it, where the connections to providers are.
        passages = async_to_sync(search)(caller, [dataset.pk], query, limit=limit, mode=mode)
    except APIError as error:
        return Trial(error=error.message)
    milliseconds = round((perf_counter() - started) * 1000)
    wanted_vectors = mode != "text" and bool(dataset.indexed_embedding)
    words_alone = wanted_vectors and bool(passages) and all(one.similarity is None for one in passages)
    return Trial(_shown(dataset, passages, query), milliseconds, words_alone)


def _shown(dataset: Dataset, passages: Sequence[SearchResult], query: str) -> list[Found]:
    files = {passage.file_id for passage in passages}
    dataset_files = dict(
        DatasetFile.objects.filter(dataset=dataset, file__in=files).values_list("file_id", "pk")
    )
    texts = highlighted([passage.text for passage in passages], query)
    return [
        Found(passage, text, _link(dataset_files.get(passage.file_id), passage.position))
        for passage, text in zip(passages, texts, strict=True)
    ]


def _link(dataset_file: int | None, position: int) -> str:
    if dataset_file is None:
        return ""
    address = reverse("admin:files_datasetfile_change", args=[dataset_file])
    return f"{address}?chunks={position // CHUNKS_A_PAGE + 1}#chunk-{position}"


def highlighted(texts: Sequence[str], query: str) -> list[SafeString]:
    """Return texts as HTML in which the words of a question are marked, whatever their endings."""
    plain = [text.replace(_BEGIN, "").replace(_END, "") for text in texts]
    asked = query_terms.asked(query)
    any_word = " | ".join(str(term) for term in asked if not term.bigrams)
    with connection.cursor() as cursor:
        cursor.execute(_HEADLINE, [query_terms.CONFIG, any_word, _OPTIONS, plain])
        marked = [row[0] for row in cursor.fetchall()]
    return [
        mark_safe(escape(text).replace(_BEGIN, "<mark>").replace(_END, "</mark>"))  # noqa: S308 - escaped
        for text in _with_bigrams(marked, {term.lexeme for term in asked if term.bigrams})
    ]


def _with_bigrams(texts: list[str], bigrams: set[str]) -> list[str]:
    """Mark the bigrams of a question, too, in scripts without spaces."""
    if not bigrams:
        return texts
    # The longest first: a pair contains its first character.
    lengths = sorted(set(map(len, bigrams)), reverse=True)
    return ["".join(_mark(part, bigrams, lengths) for part in _MARKED.split(text)) for text in texts]


def _mark(text: str, bigrams: set[str], lengths: Sequence[int]) -> str:
    if text.startswith(_BEGIN):
        return text
    inside = bytearray(len(text))
    for start in range(len(text)):
        # Pairs lie over each other.
        here = (text[start : start + length] for length in lengths)
        found = len(next((bigram for bigram in here if bigram in bigrams), ""))
        inside[start : start + found] = b"\1" * found
    parts: list[str] = []
    for is_found, run in groupby(zip(text, inside, strict=True), itemgetter(1)):
        letters = "".join(letter for letter, _ in run)
        parts.append(f"{_BEGIN}{letters}{_END}" if is_found else letters)
    return "".join(parts)
