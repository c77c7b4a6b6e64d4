"""Markdown extractor: a section a heading."""

from collections.abc import Iterator
from pathlib import Path

from files.extraction import headings
from files.extraction.formats.text import decode
from files.extraction.sections import Section


def sections(path: Path, name: str) -> Iterator[Section]:
    return headings.sections(decode(path.read_bytes()))
