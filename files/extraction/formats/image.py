"""The text in images."""

from collections.abc import Iterator
from pathlib import Path

from files.extraction.formats import letters, tiff
from files.extraction.sections import ExtractionError, Section


def sections(path: Path, name: str) -> Iterator[Section]:
    recognition = letters.recognition()
    if recognition is None:
        raise ExtractionError("unsupported_file", "The text in images is not read by this gateway.")
    pages = tiff.pages(path)
    if len(pages) < 2:
        yield Section(recognition.text(path))
        return
    for number, page in enumerate(pages, 1):
        if not recognition.has_time():
            raise letters.out_of_time(number - 1, len(pages))
        yield Section(recognition.text(tiff.page(path, page)), number)
