"""Presentations, slide by slide."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import kreuzberg

from files.extraction import headings
from files.extraction.formats import library
from files.extraction.sections import Section

TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"


def sections(path: Path, name: str) -> Iterator[Section]:
    mark = secrets.token_hex(16)  # which no slide can hold
    pages = kreuzberg.PageConfig(insert_page_markers=True, marker_format=f"\n\n{mark} {{page_num}}\n\n")
    before, *rest = re.split(rf"{mark} (\d+)\n", library.markdown(path, TYPE, pages=pages))
    yield from headings.sections(before)
    for number, text in zip(rest[::2], rest[1::2], strict=True):
        yield from headings.sections(text, int(number))
