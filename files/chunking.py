"""Sections of a document, cut into pieces that a search can find and a prompt can hold.

A section's text is cut into small spans at the most meaningful places: between rows of a table, paragraphs,
lines, sentences, words. Neighbouring spans then make up pieces. Whatever the text is, the work grows with its
length alone.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from semchunk.semchunk import chunk

from files.extraction import Section
from files.extraction.headings import BETWEEN
from gtapi.tokenizer import count_tokens

#: Spans that a piece is made of, at least, so that it can be filled and overlap the one before.
_SPANS_A_PIECE = 8
#: Characters that are cut into spans at a time.
_AT_ONCE = 10_000
#: More characters than this a token has only in long runs of one; such a text is cut without being counted.
_MOST_CHARACTERS = 24
#: A section of fewer tokens than this is a heading and little else; it goes with what stands under it.
_LITTLE = 24
#: Largest share of a piece that the repeated head of a table may take.
_MOST_OF_HEAD = 0.25
#: From this share of a piece on, it rather ends with a paragraph than in the middle of the next.
_FULL_ENOUGH = 0.7
_SEPARATOR = re.compile(r"\|(?: ?:?-+:? ?\|)+")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one section: its ``tokens``, and the page and the heading that it stands under."""

    text: str
    tokens: int
    page: int | None
    heading: str


@dataclass(frozen=True, slots=True)
class _Span:
    """A place in a text that is not cut any further, and the head of the table whose row it is."""

    start: int
    end: int
    tokens: int
    head: str = ""


def pieces(sections: Sequence[Section], *, size: int = 400, overlap: int = 50) -> list[Piece]:
    """Cut sections into pieces of at most ``size`` tokens, which begin with up to ``overlap`` of the one before.

    No piece is empty or reaches over two sections, but for headings with nothing under them. A table's rows
    repeat its head in each piece.
    """
    return [piece for section in _joined(sections) for piece in _cut(section, size, min(overlap, size // 2))]


def _joined(sections: Sequence[Section]) -> Iterator[Section]:
    """Yield the sections; one that is little more than a heading is put before the first of those below it."""
    waiting: Section | None = None
    for section in sections:
        if not section.text.strip():
            continue
        current = section
        if waiting:
            below = section.page == waiting.page and section.heading.startswith(waiting.heading + BETWEEN)
            if below:
                current = replace(section, text=f"{waiting.text}\n\n{section.text}")
            else:
                yield waiting
        little = (
            bool(current.heading) and len(current.text) < 8 * _LITTLE and count_tokens(current.text) < _LITTLE
        )
        waiting = current if little else None
        if not little:
            yield current
    if waiting:
        yield waiting


def _cut(section: Section, size: int, overlap: int) -> Iterator[Piece]:
    text = section.text.strip()
    if len(text) <= size * _MOST_CHARACTERS:
        tokens = count_tokens(text)
        if tokens <= size:
            yield Piece(text, tokens, section.page, section.heading)
            return
    spans = list(_spans(text, size))
    start = 0
    while start < len(spans):
        end, cut, tokens = _filled(text, spans, start, size)
        yield Piece(cut, tokens, section.page, section.heading)
        if end == len(spans):
            break
        start = _stepped_back(spans, start, end, overlap)


def _filled(text: str, spans: list[_Span], start: int, size: int) -> tuple[int, str, int]:
    """Return where a piece from the span ``start`` on ends, its text and its tokens."""
    head = spans[start].head
    room = size - (count_tokens(head) + 1 if head else 0)
    end = start
    used = 0
    rounded = 0
    while end < len(spans) and (end == start or used + spans[end].tokens <= room):
        used += spans[end].tokens
        end += 1
        closes = end < len(spans) and "\n\n" in text[spans[end - 1].end : spans[end].start]
        if closes and used >= room * _FULL_ENOUGH:
            rounded = end
    if end < len(spans) and rounded:
        end = rounded
    while True:
        cut = text[spans[start].start : spans[end - 1].end]
        cut = f"{head}\n{cut}" if head else cut
        tokens = count_tokens(cut)
        if tokens <= size or end == start + 1:
            return end, cut, tokens
        end -= 1


def _stepped_back(spans: list[_Span], start: int, end: int, overlap: int) -> int:
    """Return the span that the next piece begins with: rows of a table are not said twice."""
    again = end
    while again - 1 > start and not spans[again - 1].head:
        overlap -= spans[again - 1].tokens
        if overlap < 0:
            break
        again -= 1
    return again


def _spans(text: str, size: int) -> Iterator[_Span]:
    most = max(8, size // _SPANS_A_PIECE)
    for start, end, head in _blocks(text):
        if head and end - start <= most * _MOST_CHARACTERS and _fits(head, size):
            tokens = count_tokens(text[start:end]) + 1
            if tokens <= size * (1 - _MOST_OF_HEAD):
                yield _Span(start, end, tokens, head)
                continue
        for part in _parts(text, start, end):
            for first, last in _places(text[slice(*part)], most):
                yield _Span(
                    part[0] + first, part[0] + last, count_tokens(text[part[0] + first : part[0] + last])
                )


@lru_cache(maxsize=64)
def _fits(head: str, size: int) -> bool:
    """Whether the head of a table is short enough to be said in each piece."""
    return len(head) <= size * _MOST_CHARACTERS and count_tokens(head) <= size * _MOST_OF_HEAD


def _blocks(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the stretches of a text: rows of a table with its head, and what is between tables, with none."""
    start = at = 0
    head = ""
    before = ""
    for line in text.splitlines(keepends=True):
        stripped = line.strip()
        if not stripped.startswith("|"):
            head = ""
        elif head:
            yield at, at + len(line.rstrip()), head
            start = at + len(line)
        elif before.startswith("|") and _SEPARATOR.fullmatch(stripped):
            head = f"{before}\n{stripped}"
            if text[start:at].strip():
                yield start, at + len(line.rstrip()), ""
            start = at + len(line)
        before = stripped
        at += len(line)
    if text[start:].strip():
        yield start, len(text), ""


def _parts(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield a stretch in parts of bounded length, which end between paragraphs, lines or words where they can."""
    while end - start > _AT_ONCE:
        window = text[start + _AT_ONCE // 2 : start + _AT_ONCE]
        found = max(window.rfind("\n\n"), 0) or max(window.rfind("\n"), 0) or max(window.rfind(" "), 0)
        cut = start + _AT_ONCE // 2 + found if found else start + _AT_ONCE
        yield start, cut
        start = cut
    yield start, end


def _places(text: str, most: int) -> list[tuple[int, int]]:
    _, places = chunk(text, most, _counter(most), memoize=False, offsets=True)
    return places  # type: ignore[return-value] # its overloads do not tell that offsets were asked for


def _counter(most: int) -> Callable[[str], int]:
    """Return what counts tokens, as far as it matters whether they are more than ``most``."""
    return lambda text: count_tokens(text) if len(text) <= most * _MOST_CHARACTERS else most + 1
