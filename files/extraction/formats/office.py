"""Extractor of formats that Kreuzberg turns into Markdown: Word, OpenDocument, EPUB, RTF, notebooks, Excel."""

from collections.abc import Iterator
from pathlib import Path

from files.extraction import headings
from files.extraction.formats import kreuzberg_adapter
from files.extraction.sections import Section

_OFFICE = "application/vnd.openxmlformats-officedocument"
TYPES = {
    "docx": f"{_OFFICE}.wordprocessingml.document",
    "epub": "application/epub+zip",
    "notebook": "application/x-ipynb+json",
    "odt": "application/vnd.oasis.opendocument.text",
    "rst": "text/x-rst",
    "rtf": "application/rtf",
    "xlsx": f"{_OFFICE}.spreadsheetml.sheet",
}


def sections(path: Path, name: str) -> Iterator[Section]:
    return headings.sections(kreuzberg_adapter.markdown(path, TYPES[name]))
