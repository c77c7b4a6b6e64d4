"""Image extractor: the text in an image, or on each page of a TIFF, by OCR."""

from collections.abc import Iterator
from pathlib import Path

from files.extraction.formats import ocr, tiff
from files.extraction.sections import ExtractionError, Omission, Section, StartOCR


def sections(path: Path, name: str) -> Iterator[Section | Omission | StartOCR]:
    engine = ocr.engine()
    if engine is None:
        raise ExtractionError(
            "unsupported_file", "The text in images cannot be read: OCR is not installed on this gateway."
        )
    yield StartOCR()
    pages = tiff.pages(path)
    if len(pages) < 2:
        yield Section(engine.text(path))
        return
    has_text = False
    for number_read, page in enumerate(pages):
        if not engine.has_time():
            if not has_text:
                raise ocr.no_text_error(number_read, len(pages))
            yield ocr.unread_pages(len(pages) - number_read, installed=True)
            return
        text = engine.text(tiff.single_page(path, page)).strip()
        has_text = has_text or bool(text)
        yield Section(text, page.number)
