"""Sections of a document, cut into pieces that a search can find."""

from collections.abc import Sequence
from dataclasses import dataclass

from semchunk.semchunk import chunk

from files.extraction import Section
from gtapi.tokens import count


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one section: its ``tokens``, and the page and the heading that it stands under."""

    text: str
    tokens: int
    page: int | None
    heading: str


def pieces(sections: Sequence[Section], *, size: int = 400, overlap: int = 50) -> list[Piece]:
    """Cut sections into pieces of at most ``size`` tokens, of which ``overlap`` are the end of the one before."""
    made: list[Piece] = []
    for section in sections:
        texts = chunk(section.text, size, count, memoize=False, overlap=overlap or None)
        made += [Piece(text, count(text), section.page, section.heading) for text in map(str, texts)]
    return made
