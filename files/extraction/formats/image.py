"""The text in images."""

from collections.abc import Iterator
from pathlib import Path

from files.extraction.formats import ocr, tiff
from files.extraction.sections import ExtractionError, Omission, Section


def sections(path: Path, name: str) -> Iterator[Section | Omission]:
    recognition = ocr.recognition()
    if recognition is None:
        raise ExtractionError("unsupported_file", "The text in images is not read by this gateway.")
    pages = tiff.pages(path)
    if len(pages) < 2:
        yield Section(recognition.text(path))
        return
    anything = False
    for read, page in enumerate(pages):
        if not recognition.has_time():
            if not anything:
                raise ocr.nothing_read(read, len(pages))
            yield ocr.unread(len(pages) - read, installed=True)
            return
        text = recognition.text(tiff.single_page(path, page)).strip()
        anything = anything or bool(text)
        yield Section(text, page.number)
