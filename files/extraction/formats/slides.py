"""PowerPoint extractor: a section a slide, with its title as heading."""

from collections.abc import Iterator
from pathlib import Path

from files.extraction import headings
from files.extraction.formats import kreuzberg_adapter
from files.extraction.sections import Section

TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"


def sections(path: Path, name: str) -> Iterator[Section]:
    for number, text in kreuzberg_adapter.marked_pages(path, TYPE):
        yield from headings.sections(text, number)
