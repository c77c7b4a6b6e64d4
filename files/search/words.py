"""The words of a question: which ones say most, and how passages are searched by them.

A natural question is no list of words that all have to be there, so its words are joined by OR, and each weighs
as much as it is rare in what is searched (as in BM25). What stands in double quotes has to be there as it is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from django.db import connection

from files.search.sql import SQL, joined, sql

#: The configuration of the index.
CONFIG = "english"
#: Words of a question that are looked at: of a longer one, those of its beginning and of its end.
LOOKED_AT = 100
#: Words that passages are ranked by, the rarest.
RANKED_BY = 24
#: Chunks that are ranked, at most: common words find only what a rarer one has found, too.
MATCHES = 5_000
PHRASE = re.compile(r'"([^"]+)"')
#: Phrases and characters of one that are taken seriously.
MAX_PHRASES = 8
MAX_PHRASE = 200


@dataclass(frozen=True, slots=True)
class Word:
    """A lexeme, what it weighs, and in which share of what is searched it stands (0 to 1)."""

    lexeme: str
    weight: float
    share: float

    @property
    def query(self) -> SQL:
        quoted = self.lexeme.replace("\\", "\\\\").replace("'", "''")
        return sql("{}::tsquery", f"'{quoted}'")


@dataclass(frozen=True, slots=True)
class Question:
    """What a question asks of the index; ``words`` in the order of their weight."""

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
        return joined(" && ", [found, *map(_phrase, self.phrases)])

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


def _phrase(text: str) -> SQL:
    return sql("phraseto_tsquery({}, {})", CONFIG, text)


def read(text: str, chunks: SQL) -> Question | None:
    """Return what ``text`` asks of the index; None where it has no word that is indexed, such as «what is it».

    Args:
        text: the question.
        chunks: a SELECT of the ``words`` of the chunks that are searched, or of some of them.
    """
    phrases = [phrase.strip() for phrase in PHRASE.findall(text)]
    lexemes = _lexemes(text)
    if not lexemes:
        return None
    size, found = _counted(lexemes, chunks)
    words = [
        Word(lexeme, log(1 + (size - count + 0.5) / (count + 0.5)), count / max(1, size))
        for lexeme, count in zip(lexemes, found, strict=True)
    ]
    words.sort(key=lambda word: (-word.weight, word.lexeme))
    kept = tuple(phrase[:MAX_PHRASE] for phrase in phrases[:MAX_PHRASES] if phrase)
    return Question(tuple(words[:RANKED_BY]), kept)


def _lexemes(text: str) -> list[str]:
    with connection.cursor() as cursor:
        # Each array of positions begins with the first.
        cursor.execute(
            "SELECT lexeme FROM unnest(to_tsvector(%s::regconfig, %s)) ORDER BY positions[1], lexeme",
            [CONFIG, text],
        )
        lexemes = [lexeme for (lexeme,) in cursor.fetchall()]
    half = LOOKED_AT // 2
    return lexemes if len(lexemes) <= LOOKED_AT else lexemes[:half] + lexemes[-half:]


def _counted(lexemes: Sequence[str], chunks: SQL) -> tuple[int, list[int]]:
    """Return how many chunks were looked at, and in how many of them each lexeme stands."""
    counts = joined(
        ", ", (sql("count(*) FILTER (WHERE words @@ {})", Word(lexeme, 0, 0).query) for lexeme in lexemes)
    )
    # Put together anew, the words are unpacked once and not for each lexeme.
    sample = sql("SELECT words || ''::tsvector AS words FROM ({}) chunk", chunks)
    statement = sql("SELECT count(*), {} FROM ({} OFFSET 0) sample", counts, sample)
    with connection.cursor() as cursor:
        cursor.execute(statement.text, statement.values)
        size, *found = cursor.fetchone()
    return size, found
