"""Presentations, slide by slide."""

from collections.abc import Iterator
from pathlib import Path

from files.extraction import headings
from files.extraction.formats import library
from files.extraction.sections import Section

TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"


def sections(path: Path, name: str) -> Iterator[Section]:
    for number, text in library.marked(path, TYPE):
        yield from headings.sections(text, number)
