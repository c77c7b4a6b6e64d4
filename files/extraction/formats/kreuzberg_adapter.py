"""Kreuzberg, as the formats that need it call it."""

import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kreuzberg

from files.extraction.sections import ExtractionError

#: Words by which the library says that a password is missing.
_LOCKED = ("password", "encrypt", "protected")
#: Words by which it refuses a picture, which it does before it has unpacked it.
_TOO_LARGE = ("pixel cap", "memory limit exceeded")
#: Words by which it says that a part of it, which it unpacks first, cannot be used: no fault of the file's.
_NOT_LOADED = "failed to bind to pdfium"
#: Pictures inside the text, of which only their description is text.
_INLINE_PICTURE = re.compile(r"!\[([^\[\]\n]{0,1000})\]\(data:[^()\s]*\)")


#: Cells of a table, which the library fills up with blanks to the width of their column.
_ROW = re.compile(r"^\|.*\|$", re.MULTILINE)
_FILLED_UP = re.compile(r" +(?= \|)|-+(?=--- \|)|(?<=\| ) +")


def markdown(content: Path | bytes, mime_type: str, **options: Any) -> str:
    """Return a file, or its content, as Markdown. Raises ExtractionError: encrypted_file, broken_file."""
    text = _INLINE_PICTURE.sub(r"\1", _read(content, mime_type, options).content)
    return _ROW.sub(lambda row: _FILLED_UP.sub("", row[0]), text)


def plain(content: Path | bytes, mime_type: str, **options: Any) -> str:
    """Return the text of a file as it is, line by line. Raises ExtractionError as ``markdown``."""
    text: str = _read(content, mime_type, {"output_format": "plain", **options}).content
    return text


@dataclass(frozen=True, slots=True)
class Page:
    """A page, counted from 1; ``longest`` is its longer side in points, 0 where it does not say."""

    number: int
    text: str
    longest: float = 0


def pages(path: Path, mime_type: str) -> list[Page]:
    """Return the text of a file by its pages. Raises ExtractionError as ``markdown``."""
    # As plain text, since pages are plain in any case and the way to Markdown takes four times as long.
    options = {"output_format": "plain", "pages": kreuzberg.PageConfig(extract_pages=True)}
    read = _read(path, mime_type, options)
    described = read.metadata.get("pages", {}).get("pages") or ()
    longest = {page["number"]: max(page.get("dimensions") or (0,)) for page in described}
    return [
        Page(page["page_number"], page["content"], longest.get(page["page_number"], 0))
        for page in read.pages or ()
    ]


def drawn(path: Path, number: int, density: int) -> bytes:
    """Return a page of a PDF as a PNG of so many points an inch; nothing where it cannot be drawn."""
    try:
        return kreuzberg.render_pdf_page(str(path), number - 1, dpi=density)
    except (kreuzberg.KreuzbergError, OSError, ValueError, RuntimeError):
        return b""


def marked(path: Path, mime_type: str, **options: Any) -> Iterator[tuple[int | None, str]]:
    """Yield a file by its pages where the library can only mark them; what is before the first has no number."""
    mark = secrets.token_hex(16)  # which no document can hold
    config = kreuzberg.PageConfig(
        extract_pages=True, insert_page_markers=True, marker_format=f"\n\n{mark} {{page_num}}\n\n"
    )
    before, *rest = re.split(rf"{mark} (\d+)", markdown(path, mime_type, pages=config, **options))
    yield None, before
    for number, text in zip(rest[::2], rest[1::2], strict=True):
        yield int(number), text


def _read(content: Path | bytes, mime_type: str, options: dict[str, Any]) -> kreuzberg.ExtractionResult:
    config = kreuzberg.ExtractionConfig(
        use_cache=False,
        enable_quality_processing=False,
        concurrency=kreuzberg.ConcurrencyConfig(max_threads=1),
        **{"output_format": "markdown", **options},
    )
    reading: Callable[..., kreuzberg.ExtractionResult] = (
        kreuzberg.extract_bytes_sync if isinstance(content, bytes) else kreuzberg.extract_file_sync
    )
    try:
        return reading(content, mime_type, config=config)
    except (kreuzberg.KreuzbergError, OSError, ValueError) as error:
        said = str(error).lower()
        if _NOT_LOADED in said:
            raise OSError(
                "The library for PDF cannot be loaded from the folder for temporary files."
            ) from None
        if any(map(said.__contains__, _TOO_LARGE)):
            raise ExtractionError(
                "file_too_complex", "The picture has more points than is allowed."
            ) from None
        raise ExtractionError(
            "encrypted_file" if any(map(said.__contains__, _LOCKED)) else "broken_file"
        ) from None
