"""PDF extractor: a section a page, with OCR of pages that have little or no text."""

import re
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path

from files.extraction.formats import kreuzberg_adapter, ocr
from files.extraction.sections import ExtractionError, Omission, Section, StartOCR

TYPE = "application/pdf"
#: A page with fewer characters than this may be an image with a page number or a stamp.
_FEW_CHARACTERS = 24
#: The declaration of an image in the file, which is never compressed.
_IMAGE = re.compile(rb"/Subtype\s*/Image\b")


def sections(path: Path, name: str) -> Iterator[Section | Omission | StartOCR]:
    pages = kreuzberg_adapter.pages(path, TYPE)
    has_images = _has_images(path)
    # Without images only empty pages are candidates: their text may be drawn as vector outlines.
    threshold = _FEW_CHARACTERS if has_images else 1
    candidates = [page for page in pages if len(page.text.strip()) < threshold]
    engine = ocr.engine() if candidates else None
    if engine is None and not any(page.text.strip() for page in pages):
        raise ExtractionError(
            "no_text", "No text was found in the file. Its pages may be images, and OCR is not installed."
        )
    recognised: dict[int, str] = {}
    if engine:
        yield StartOCR()
        recognised = _recognise(path, candidates, engine)
    texts = [
        (max(page.text.strip(), recognised.get(page.number, ""), key=len), page.number) for page in pages
    ]
    unread = len(candidates) - len(recognised)
    if unread and not any(text for text, _ in texts):
        raise ocr.no_text_error(len(recognised), len(candidates))
    yield from (Section(text, number) for text, number in texts if text)
    # In a PDF without images an empty page is most likely blank, so without OCR there is nothing to warn about.
    if unread and (has_images or engine):
        yield ocr.unread_pages(unread, installed=engine is not None)


def _has_images(path: Path) -> bool:
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        return _IMAGE.search(content) is not None


def _recognise(path: Path, pages: list[kreuzberg_adapter.Page], engine: ocr.Engine) -> dict[int, str]:
    """Return the recognised text by page number, for the pages that there was time for."""
    recognised: dict[int, str] = {}
    # Empty pages come first: a page with a few words may well have no more.
    for page in sorted(pages, key=lambda page: bool(page.text.strip())):
        if not engine.has_time():
            break
        text = engine.page_text(path, page)
        if text is not None:
            recognised[page.number] = text.strip()
    return recognised
