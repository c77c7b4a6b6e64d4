"""PDF, page by page."""

from collections.abc import Iterator
from pathlib import Path

from files.extraction.formats import letters, library
from files.extraction.sections import ExtractionError, Section

TYPE = "application/pdf"


def sections(path: Path, name: str) -> Iterator[Section]:
    pages = [Section(text, number) for number, text in library.pages(path, TYPE) if text.strip()]
    if pages:
        yield from pages
        return
    recognition = letters.recognition()
    if recognition is None:
        raise ExtractionError(
            "no_text", "No text was found in the file; pages that are pictures are not read."
        )
    for number, text in library.marked(path, TYPE, output_format="plain", ocr=recognition):
        yield Section(text, number)
