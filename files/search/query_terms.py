"""The words of a question: which ones say most, and how passages are searched by them.

A natural question is no list of words that all have to be there, so its words are joined by OR, and each weighs
as much as it is rare in what is searched (as in BM25). What stands in double quotes has to be there as it is.

In scripts written without spaces the words are bigrams (pairs of neighbouring characters), which the database
function ``files_bigrams`` makes from chunks and questions alike (``files.search.bigrams``). A Chinese character
is often a word, so it is searched for in addition to its pairs.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log
from typing import TypeAlias

from django.db import connection

from files.search.sql import SQL, joined, sql

#: The configuration of the index.
CONFIG = "english"
#: Bytes of the longest lexeme that can be asked for; one in the index can be longer.
LONGEST = 2046
#: Characters at either end of a question that are read, and words of it that are looked at: of a longer one, those
#: of its beginning and of its end.
READ = 2_000
LOOKED_AT = 100
#: Words that passages are ranked by, the rarest; and bigrams, of which a word makes several. At least half
#: of them are ones that the sample has, where there are so many: others may stand nowhere.
RANKED_BY = 24
RANKED_BY_BIGRAMS = 32
#: Chunks that are ranked, at most: common words find only what a rarer one has found, too.
MATCHES = 5_000
PHRASE = re.compile(r'"([^"]+)"')
#: Phrases and characters of one that are taken seriously.
MAX_PHRASES = 8
MAX_PHRASE = 200
#: Chinese characters.
CHARACTER = re.compile("[\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]")

#: A text as the index has it: positions, lexemes, and the weights that ``files_bigrams`` gives them.
Text: TypeAlias = list[tuple[int, str, str]]


@dataclass(frozen=True, slots=True)
class Term:
    """What is asked for: a lexeme, or all that begin with it, and whether it is part of ``bigrams``."""

    lexeme: str
    begins: bool = False
    bigrams: bool = False

    def __str__(self) -> str:
        """Return it as ``tsquery`` reads it."""
        quoted = self.lexeme.replace("\\", "\\\\").replace("'", "''")
        return f"'{quoted}':*" if self.begins else f"'{quoted}'"

    @property
    def query(self) -> SQL:
        return sql("{}::tsquery", str(self))


@dataclass(frozen=True, slots=True)
class Word:
    """A term, what it weighs, and in which share of what is searched it stands (0 to 1)."""

    term: Term
    weight: float
    share: float

    @property
    def query(self) -> SQL:
        return self.term.query


@dataclass(frozen=True, slots=True)
class Question:
    """What a question asks of the index; ``words`` in the order of their weight, ``phrases`` as ``tsquery``."""

    words: tuple[Word, ...]
    phrases: tuple[str, ...]

    def query(self, chunks: int) -> SQL:
        """Return what a chunk has to match for its rank to be looked at, one of ``chunks`` that there are."""
        chosen: list[Word] = []
        expected = 0.0
        for word in self.words:
            expected += word.share * chunks
            if chosen and expected > MATCHES:
                break
            chosen.append(word)
        found = sql("({})", joined(" || ", (word.query for word in chosen)))
        return joined(" && ", [found, *(sql("{}::tsquery", phrase) for phrase in self.phrases)])

    def rank(self, column: SQL) -> SQL:
        """Return what a chunk's words are worth: more for rarer words, for repeated ones, and in shorter chunks."""
        parts = (sql("{} * ts_rank({}, {}, 1)", word.weight, column, word.query) for word in self.words)
        return joined(" + ", parts)

    def coverage(self, column: SQL) -> SQL:
        """Return which share of the question, by weight, the words of a chunk have: 0 to 1."""
        total = sum(word.weight for word in self.words)
        parts = (
            sql("CASE WHEN {} @@ {} THEN {} ELSE 0 END", column, word.query, word.weight / total)
            for word in self.words
        )
        return sql("({})::float8", joined(" + ", parts))


def read(text: str, chunks: SQL) -> Question | None:
    """Return what ``text`` asks of the index; None where it has no word that is indexed, such as «what is it».

    Args:
        text: the question.
        chunks: a SELECT of the ``words`` of the chunks that are searched, or of some of them.
    """
    quoted = [phrase.strip()[:MAX_PHRASE] for phrase in PHRASE.findall(text)]
    whole, *phrases = _indexed([_ends(text), *[phrase for phrase in quoted if phrase][:MAX_PHRASES]])
    terms = list(dict.fromkeys(_terms(whole)))
    if not terms:
        return None
    half = LOOKED_AT // 2
    terms = terms if len(terms) <= LOOKED_AT else terms[:half] + terms[-half:]
    size, found = _counted(terms, chunks)
    words = [
        Word(term, log(1 + (size - count + 0.5) / (count + 0.5)), count / max(1, size))
        for term, count in zip(terms, found, strict=True)
    ]
    words = [*_telling(words, RANKED_BY, bigrams=False), *_telling(words, RANKED_BY_BIGRAMS, bigrams=True)]
    words.sort(key=lambda word: (-word.weight, word.term.lexeme))
    return Question(tuple(words), tuple(filter(None, map(_phrase, phrases))))


def asked(text: str) -> list[Term]:
    """Return what a question asks for, each once, in its order."""
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
    """Yield what a question asks for, in its order."""
    for _, lexeme, weight in text:
        if weight != "B":
            yield Term(lexeme, begins=weight == "C", bigrams=weight != "D")
        if weight in "AB" and CHARACTER.match(lexeme):
            yield Term(lexeme[0], begins=True, bigrams=True)


def _phrase(text: Text) -> str:
    """Return a phrase as ``tsquery`` reads it, empty where no word of it is indexed."""
    query, before = "", 0
    for position, lexeme, weight in text:
        if weight != "B":
            distance = f" <{position - before}> " if query else ""
            query += distance + str(Term(lexeme, begins=weight == "C"))
            before = position
    return query


def _telling(words: Sequence[Word], most: int, *, bigrams: bool) -> list[Word]:
    """Return the rarest words of a kind, but no more than half of them from outside the sample if it has enough."""
    kind = sorted((word for word in words if word.term.bigrams is bigrams), key=lambda word: -word.weight)
    unseen = [word for word in kind if not word.share]
    seen = kind[len(unseen) :]
    kept = unseen[: max(most // 2, most - len(seen))]
    return kept + seen[: most - len(kept)]


def _counted(terms: Sequence[Term], chunks: SQL) -> tuple[int, list[int]]:
    """Return how many chunks were looked at, and in how many of them each term stands."""
    counts = joined(", ", (sql("count(*) FILTER (WHERE words @@ {})", term.query) for term in terms))
    # Put together anew, the words are unpacked once and not for each lexeme.
    sample = sql("SELECT words || ''::tsvector AS words FROM ({}) chunk", chunks)
    statement = sql("SELECT count(*), {} FROM ({} OFFSET 0) sample", counts, sample)
    with connection.cursor() as cursor:
        cursor.execute(statement.text, statement.values)
        size, *found = cursor.fetchone()
    return size, found
