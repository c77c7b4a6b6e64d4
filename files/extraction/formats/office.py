"""Documents whose headings the library finds: Word, OpenDocument, books, RTF, HTML, mail, workbooks."""

from collections.abc import Iterator
from pathlib import Path

from files.extraction import headings
from files.extraction.formats import library
from files.extraction.sections import Section

_OPEN = "application/vnd.openxmlformats-officedocument"
TYPES = {
    "docx": f"{_OPEN}.wordprocessingml.document",
    "email": "message/rfc822",
    "epub": "application/epub+zip",
    "html": "text/html",
    "odt": "application/vnd.oasis.opendocument.text",
    "pptx": f"{_OPEN}.presentationml.presentation",
    "rtf": "application/rtf",
    "xlsx": f"{_OPEN}.spreadsheetml.sheet",
}


def sections(path: Path, name: str) -> Iterator[Section]:
    return headings.sections(library.read(path, TYPES[name]).content)
