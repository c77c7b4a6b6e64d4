"""The terms of a query: their weights, and the full-text query that they form.

A natural question rarely has all its words in one chunk, so terms are joined by OR, weighted by their rarity in the
searched chunks (as in BM25). Phrases in double quotes must match.

In scripts written without spaces the terms are bigrams (pairs of neighbouring characters), which the database
function ``files_bigrams`` makes from chunks and questions alike (``files.search.bigrams``). A Chinese character
is often a word, so it is searched for in addition to its bigrams.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log
from typing import TypeAlias

from django.db import connection

from files.search.sql import SQL, joined, sql

#: The text search configuration of the index.
CONFIG = "english"
#: Longest lexeme of a tsquery, in bytes; the index may have longer ones.
LONGEST = 2046
#: Characters read at either end of a query, and most terms; of a longer query, those of its beginning and end.
READ = 2_000
LOOKED_AT = 100
#: Most terms that rank chunks, the rarest first; and bigrams, of which a word has several. If possible, at least
#: half of them occur in the sample, since others may occur nowhere.
RANKED_BY = 24
RANKED_BY_BIGRAMS = 32
#: Expected matches up to which terms are used for matching: common terms only rank what rarer ones match.
MATCHES = 5_000
PHRASE = re.compile(r'"([^"]+)"')
#: Most phrases, and most characters of a phrase.
MAX_PHRASES = 8
MAX_PHRASE = 200
#: Chinese characters.
CHARACTER = re.compile("[\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]")

#: A text as it is indexed: positions, lexemes, and the weights that ``files_bigrams`` assigns.
Text: TypeAlias = list[tuple[int, str, str]]


@dataclass(frozen=True, slots=True)
class Term:
    """A lexeme, or a prefix of lexemes; ``bigrams`` is set for scripts without spaces."""

    lexeme: str
    begins: bool = False
    bigrams: bool = False

    def __str__(self) -> str:
        """Return the term in the syntax of ``tsquery``."""
        quoted = self.lexeme.replace("\\", "\\\\").replace("'", "''")
        return f"'{quoted}':*" if self.begins else f"'{quoted}'"

    @property
    def query(self) -> SQL:
        return sql("{}::tsquery", str(self))


@dataclass(frozen=True, slots=True)
class WeightedTerm:
    """A term, its weight, and the share of sampled chunks that contain it (0 to 1)."""

    term: Term
    weight: float
    share: float

    @property
    def query(self) -> SQL:
        return self.term.query


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A query's terms, in the order of their weight, and its phrases in the syntax of ``tsquery``."""

    terms: tuple[WeightedTerm, ...]
    phrases: tuple[str, ...]

    def query(self, chunks: int) -> SQL:
        """Return the ``tsquery`` that a chunk must match, out of ``chunks`` in all."""
        chosen: list[WeightedTerm] = []
        expected = 0.0
        for word in self.terms:
            expected += word.share * chunks
            if chosen and expected > MATCHES:
                break
            chosen.append(word)
        found = sql("({})", joined(" || ", (word.query for word in chosen)))
        return joined(" && ", [found, *(sql("{}::tsquery", phrase) for phrase in self.phrases)])

    def rank(self, column: SQL) -> SQL:
        """Return the rank of a chunk: higher for rare and repeated terms, and in shorter chunks."""
        parts = (sql("{} * ts_rank({}, {}, 1)", word.weight, column, word.query) for word in self.terms)
        return joined(" + ", parts)

    def coverage(self, column: SQL) -> SQL:
        """Return the share of the query's terms, by weight, that a chunk contains: 0 to 1."""
        total = sum(word.weight for word in self.terms)
        parts = (
            sql("CASE WHEN {} @@ {} THEN {} ELSE 0 END", column, word.query, word.weight / total)
            for word in self.terms
        )
        return sql("({})::float8", joined(" + ", parts))


def parse_query(text: str, chunks: SQL) -> ParsedQuery | None:
    """Return the parsed query; None if it has only stop words, such as "what is it".

    Args:
        text: the query.
        chunks: a SELECT of the ``words`` of a sample of the searched chunks.
    """
    quoted = [phrase.strip()[:MAX_PHRASE] for phrase in PHRASE.findall(text)]
    whole, *phrases = _indexed([_ends(text), *[phrase for phrase in quoted if phrase][:MAX_PHRASES]])
    terms = list(dict.fromkeys(_terms(whole)))
    if not terms:
        return None
    half = LOOKED_AT // 2
    terms = terms if len(terms) <= LOOKED_AT else terms[:half] + terms[-half:]
    size, found = _count_chunks(terms, chunks)
    words = [
        WeightedTerm(term, log(1 + (size - count + 0.5) / (count + 0.5)), count / max(1, size))
        for term, count in zip(terms, found, strict=True)
    ]
    words = [*_rarest(words, RANKED_BY, bigrams=False), *_rarest(words, RANKED_BY_BIGRAMS, bigrams=True)]
    words.sort(key=lambda word: (-word.weight, word.term.lexeme))
    return ParsedQuery(tuple(words), tuple(filter(None, map(_phrase, phrases))))


def terms_of(text: str) -> list[Term]:
    """Return the distinct terms of a query, in their order."""
    (whole,) = _indexed([_ends(text)])
    return list(dict.fromkeys(_terms(whole)))


def _ends(text: str) -> str:
    return text if len(text) <= 2 * READ else f"{text[:READ]} {text[-READ:]}"


def _indexed(texts: Sequence[str]) -> list[Text]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT number - 1, position, lexeme, weight"
            " FROM unnest(%s::text[]) WITH ORDINALITY AS given (text, number),"
            " unnest(COALESCE(files_bigrams(text), to_tsvector(%s::regconfig, text))) AS item,"
            " unnest(positions, weights) AS place (position, weight)"
            " WHERE octet_length(lexeme) BETWEEN 1 AND %s ORDER BY 1, 2, 3",
            [list(texts), CONFIG, LONGEST],
        )
        found: list[Text] = [[] for _ in texts]
        for number, *item in cursor.fetchall():
            found[number].append(tuple(item))
    return found


def _terms(text: Text) -> Iterator[Term]:
    """Yield the terms of a text, in their order."""
    for _, lexeme, weight in text:
        if weight != "B":
            yield Term(lexeme, begins=weight == "C", bigrams=weight != "D")
        if weight in "AB" and CHARACTER.match(lexeme):
            yield Term(lexeme[0], begins=True, bigrams=True)


def _phrase(text: Text) -> str:
    """Return a phrase in the syntax of ``tsquery``; empty if it has only stop words."""
    query, before = "", 0
    for position, lexeme, weight in text:
        if weight != "B":
            distance = f" <{position - before}> " if query else ""
            query += distance + str(Term(lexeme, begins=weight == "C"))
            before = position
    return query


def _rarest(words: Sequence[WeightedTerm], most: int, *, bigrams: bool) -> list[WeightedTerm]:
    """Return the rarest terms of a kind; if possible, at least half of them occur in the sample."""
    kind = sorted((word for word in words if word.term.bigrams is bigrams), key=lambda word: -word.weight)
    unseen = [word for word in kind if not word.share]
    seen = kind[len(unseen) :]
    chosen = unseen[: max(most // 2, most - len(seen))]
    return chosen + seen[: most - len(chosen)]


def _count_chunks(terms: Sequence[Term], chunks: SQL) -> tuple[int, list[int]]:
    """Return the number of sampled chunks, and of those that contain each term."""
    counts = joined(", ", (sql("count(*) FILTER (WHERE words @@ {})", term.query) for term in terms))
    # Concatenating an empty vector decompresses the lexemes once, and not for each term.
    sample = sql("SELECT words || ''::tsvector AS words FROM ({}) chunk", chunks)
    statement = sql("SELECT count(*), {} FROM ({} OFFSET 0) sample", counts, sample)
    with connection.cursor() as cursor:
        cursor.execute(statement.text, statement.values)
        size, *found = cursor.fetchone()
    return size, found
