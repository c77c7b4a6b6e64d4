"""PDF, page by page."""

from collections.abc import Iterator
from pathlib import Path

import kreuzberg

from files.extraction.formats import library
from files.extraction.sections import Section


def sections(path: Path, name: str) -> Iterator[Section]:
    result = library.read(path, "application/pdf", pages=kreuzberg.PageConfig(extract_pages=True))
    for page in result.pages or ():
        yield Section(page["content"], page["page_number"])
