"""The text in images."""

from collections.abc import Iterator
from pathlib import Path

from files.extraction import headings
from files.extraction.formats import letters, library
from files.extraction.sections import ExtractionError, Section

#: The library looks for itself which kind of image it is.
_ANY = "image/png"


def sections(path: Path, name: str) -> Iterator[Section]:
    recognition = letters.recognition()
    if recognition is None:
        raise ExtractionError("unsupported_file", "The text in images is not read by this gateway.")
    return headings.sections(library.markdown(path, _ANY, ocr=recognition))
