"""PDF, page by page."""

import re
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path

from files.extraction.formats import kreuzberg_adapter, ocr
from files.extraction.sections import ExtractionError, Omission, Section

TYPE = "application/pdf"
#: A page with fewer characters than this may be a picture with a number or a stamp on it.
_LITTLE = 24
#: What a picture is called in the file, which nothing can pack.
_PICTURE = re.compile(rb"/Subtype\s*/Image\b")


def sections(path: Path, name: str) -> Iterator[Section | Omission]:
    pages = kreuzberg_adapter.pages(path, TYPE)
    pictured = _has_pictures(path)
    least = _LITTLE if pictured else 1  # letters may be drawn as lines, but not beside others
    little = [page for page in pages if len(page.text.strip()) < least]
    recognition = ocr.recognition() if little else None
    if recognition is None and not any(page.text.strip() for page in pages):
        raise ExtractionError(
            "no_text", "No text was found in the file; pages that are pictures are not read."
        )
    seen = _recognised(path, little, recognition) if recognition else {}
    found = [(max(page.text.strip(), seen.get(page.number, ""), key=len), page.number) for page in pages]
    unread = len(little) - len(seen)
    if unread and not any(text for text, _ in found):
        raise ocr.nothing_read(len(seen), len(little))
    yield from (Section(text, number) for text, number in found if text)
    # Without a picture anywhere such a page is blank, most likely; who can look at it knows better.
    if unread and (pictured or recognition):
        yield ocr.unread(unread, installed=recognition is not None)


def _has_pictures(path: Path) -> bool:
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        return _PICTURE.search(content) is not None


def _recognised(
    path: Path, pages: list[kreuzberg_adapter.Page], recognition: ocr.Recognition
) -> dict[int, str]:
    """Return what is seen on pages that say little or nothing by themselves, as far as they can be looked at."""
    seen: dict[int, str] = {}
    # Those that say nothing come first: a page with a few words on it may well have no more.
    for page in sorted(pages, key=lambda page: bool(page.text.strip())):
        if not recognition.has_time():
            break
        text = recognition.page(path, page)
        if text is not None:
            seen[page.number] = text.strip()
    return seen
