"""Splits the sections of a document into chunks, the units of search.

A section's text is split into small spans at the most meaningful positions: between table rows, paragraphs, lines,
sentences, words. Neighbouring spans then form chunks. The time that this takes depends on the text's length alone.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from semchunk.semchunk import chunk as semchunk

from files.extraction import Section
from files.extraction.headings import SEPARATOR
from gtapi.tokenizer import count_tokens

#: Spans per chunk at least, so that chunks can be filled and can overlap.
_SPANS_PER_CHUNK = 8
#: Characters that are split into spans at a time.
_WINDOW = 10_000
#: A token has more characters only in long runs of one character; such text is split without counting.
_MAX_CHARACTERS = 24
#: A section with fewer tokens is little more than a heading, and is joined with the section below it.
_FEW_TOKENS = 24
#: Share of a chunk that the repeated header of a table may take.
_MAX_HEADER_SHARE = 0.25
#: A chunk that is at least this full ends with a paragraph.
_FULL_ENOUGH = 0.7
_TABLE_SEPARATOR = re.compile(r"\|(?: ?:?-+:? ?\|)+")


@dataclass(frozen=True, slots=True)
class TextChunk:
    """A part of one section: its text, its ``tokens``, and its page and heading."""

    text: str
    tokens: int
    page: int | None
    heading: str


@dataclass(frozen=True, slots=True)
class _Span:
    """A range of a text that is not split further; ``header`` is that of the table if it is a row."""

    start: int
    end: int
    tokens: int
    header: str = ""


def split(sections: Sequence[Section], *, size: int = 400, overlap: int = 50) -> list[TextChunk]:
    """Split sections into chunks of at most ``size`` tokens that overlap by up to ``overlap`` tokens.

    No chunk is empty or spans two sections, except that a section that is only a heading joins the one below it.
    Each chunk of a table repeats the table's header.
    """
    return [
        chunk for section in _joined(sections) for chunk in _split(section, size, min(overlap, size // 2))
    ]


def _joined(sections: Sequence[Section]) -> Iterator[Section]:
    """Yield the sections; one that is little more than a heading is prepended to the section below it."""
    waiting: Section | None = None
    for section in sections:
        if not section.text.strip():
            continue
        current = section
        if waiting:
            is_below = section.page == waiting.page and section.heading.startswith(
                waiting.heading + SEPARATOR
            )
            if is_below:
                current = replace(section, text=f"{waiting.text}\n\n{section.text}")
            else:
                yield waiting
        is_short = (
            bool(current.heading)
            and len(current.text) < 8 * _FEW_TOKENS
            and count_tokens(current.text) < _FEW_TOKENS
        )
        waiting = current if is_short else None
        if not is_short:
            yield current
    if waiting:
        yield waiting


def _split(section: Section, size: int, overlap: int) -> Iterator[TextChunk]:
    text = section.text.strip()
    if len(text) <= size * _MAX_CHARACTERS:
        tokens = count_tokens(text)
        if tokens <= size:
            yield TextChunk(text, tokens, section.page, section.heading)
            return
    spans = list(_spans(text, size))
    start = 0
    while start < len(spans):
        end, chunk_text, tokens = _fill(text, spans, start, size)
        yield TextChunk(chunk_text, tokens, section.page, section.heading)
        if end == len(spans):
            break
        start = _next_start(spans, start, end, overlap)


def _fill(text: str, spans: list[_Span], start: int, size: int) -> tuple[int, str, int]:
    """Return the end of a chunk that begins with the span ``start``, its text and its tokens."""
    header = spans[start].header
    budget = size - (count_tokens(header) + 1 if header else 0)
    end = start
    used = 0
    paragraph_end = 0
    while end < len(spans) and (end == start or used + spans[end].tokens <= budget):
        used += spans[end].tokens
        end += 1
        ends_paragraph = end < len(spans) and "\n\n" in text[spans[end - 1].end : spans[end].start]
        if ends_paragraph and used >= budget * _FULL_ENOUGH:
            paragraph_end = end
    if end < len(spans) and paragraph_end:
        end = paragraph_end
    while True:
        chunk_text = text[spans[start].start : spans[end - 1].end]
        chunk_text = f"{header}\n{chunk_text}" if header else chunk_text
        tokens = count_tokens(chunk_text)
        if tokens <= size or end == start + 1:
            return end, chunk_text, tokens
        end -= 1


def _next_start(spans: list[_Span], start: int, end: int, overlap: int) -> int:
    """Return the span that the next chunk begins with, so that they overlap; table rows are not repeated."""
    first = end
    while first - 1 > start and not spans[first - 1].header:
        overlap -= spans[first - 1].tokens
        if overlap < 0:
            break
        first -= 1
    return first


def _spans(text: str, size: int) -> Iterator[_Span]:
    max_tokens = max(8, size // _SPANS_PER_CHUNK)
    for start, end, header in _blocks(text):
        if header and end - start <= max_tokens * _MAX_CHARACTERS and _fits(header, size):
            tokens = count_tokens(text[start:end]) + 1
            if tokens <= size * (1 - _MAX_HEADER_SHARE):
                yield _Span(start, end, tokens, header)
                continue
        for window_start, window_end in _windows(text, start, end):
            for first, last in _ranges(text[window_start:window_end], max_tokens):
                span = window_start + first, window_start + last
                yield _Span(*span, count_tokens(text[slice(*span)]))


@lru_cache(maxsize=64)
def _fits(header: str, size: int) -> bool:
    """Return whether the header of a table is short enough to be repeated in each chunk."""
    return len(header) <= size * _MAX_CHARACTERS and count_tokens(header) <= size * _MAX_HEADER_SHARE


def _blocks(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the ranges of a text: table rows with the table's header, and the text between tables without one."""
    start = position = 0
    header = ""
    before = ""
    for line in text.splitlines(keepends=True):
        stripped = line.strip()
        if not stripped.startswith("|"):
            header = ""
        elif header:
            yield position, position + len(line.rstrip()), header
            start = position + len(line)
        elif before.startswith("|") and _TABLE_SEPARATOR.fullmatch(stripped):
            header = f"{before}\n{stripped}"
            if text[start:position].strip():
                yield start, position + len(line.rstrip()), ""
            start = position + len(line)
        before = stripped
        position += len(line)
    if text[start:].strip():
        yield start, len(text), ""


def _windows(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield a range in parts of bounded length, which end between paragraphs, lines or words if possible."""
    while end - start > _WINDOW:
        half = text[start + _WINDOW // 2 : start + _WINDOW]
        offset = max(half.rfind("\n\n"), 0) or max(half.rfind("\n"), 0) or max(half.rfind(" "), 0)
        cut = start + _WINDOW // 2 + offset if offset else start + _WINDOW
        yield start, cut
        start = cut
    yield start, end


def _ranges(text: str, max_tokens: int) -> list[tuple[int, int]]:
    _, ranges = semchunk(text, max_tokens, _counter(max_tokens), memoize=False, offsets=True)
    return ranges  # type: ignore[return-value] # its overloads ignore the argument `offsets`


def _counter(max_tokens: int) -> Callable[[str], int]:
    """Return a function that counts tokens, exactly if there are at most ``max_tokens``."""
    return lambda text: count_tokens(text) if len(text) <= max_tokens * _MAX_CHARACTERS else max_tokens + 1
