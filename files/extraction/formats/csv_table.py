"""CSV and TSV extractor: one Markdown table, whose first row names the columns."""

import csv
from collections.abc import Iterator
from pathlib import Path

from files.extraction.formats.text import decode
from files.extraction.sections import ExtractionError, Section

_SAMPLE = 8192


def sections(path: Path, name: str) -> Iterator[Section]:
    text = decode(path.read_bytes())
    delimiter = max(",;\t|", key=text[:_SAMPLE].count)
    csv.field_size_limit(len(text) + 1)
    try:
        rows = [row for row in csv.reader(text.splitlines(), delimiter=delimiter) if any(row)]
    except csv.Error:
        raise ExtractionError("broken_file") from None
    if rows:
        yield Section("\n".join(lines(rows)))


def lines(rows: list[list[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table; the first row names the columns."""
    yield _line(rows[0])
    yield _line(["---"] * len(rows[0]))
    yield from map(_line, rows[1:])


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
