"""Calls into Kreuzberg, the extraction library, with its options and its errors translated."""

import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kreuzberg

from files.extraction.sections import ExtractionError

#: Words in the library's error for a missing password.
_ENCRYPTED = ("password", "encrypt", "protected")
#: Words in its error for an image that is too large, which it raises before decompressing it.
_TOO_LARGE = ("pixel cap", "memory limit exceeded")
#: Words in its error when PDFium, which it unpacks first, cannot be loaded: not the document's fault.
_NOT_LOADED = "failed to bind to pdfium"
#: Images embedded in Markdown; only their description is text.
_INLINE_IMAGE = re.compile(r"!\[([^\[\]\n]{0,1000})\]\(data:[^()\s]*\)")
#: Table cells, which the library pads to the width of their column.
_ROW = re.compile(r"^\|.*\|$", re.MULTILINE)
_PADDING = re.compile(r" +(?= \|)|-+(?=--- \|)|(?<=\| ) +")


def markdown(content: Path | bytes, mime_type: str, **options: Any) -> str:
    """Return a file, or its content, as Markdown. Raises ExtractionError: encrypted_file, broken_file."""
    text = _INLINE_IMAGE.sub(r"\1", _extract(content, mime_type, options).content)
    return _ROW.sub(lambda row: _PADDING.sub("", row[0]), text)


def plain(content: Path | bytes, mime_type: str, **options: Any) -> str:
    """Return a file, or its content, as plain text. Raises ExtractionError as ``markdown``."""
    text: str = _extract(content, mime_type, {"output_format": "plain", **options}).content
    return text


@dataclass(frozen=True, slots=True)
class Page:
    """A page, counted from 1; ``longer_side`` is in points, 0 if unknown."""

    number: int
    text: str
    longer_side: float = 0


def pages(path: Path, mime_type: str) -> list[Page]:
    """Return a file's text by page. Raises ExtractionError as ``markdown``."""
    # Pages are always plain text, and asking for Markdown takes four times as long.
    options = {"output_format": "plain", "pages": kreuzberg.PageConfig(extract_pages=True)}
    result = _extract(path, mime_type, options)
    details = result.metadata.get("pages", {}).get("pages") or ()
    longer_sides = {page["number"]: max(page.get("dimensions") or (0,)) for page in details}
    return [
        Page(page["page_number"], page["content"], longer_sides.get(page["page_number"], 0))
        for page in result.pages or ()
    ]


def draw(path: Path, number: int, resolution: int) -> bytes:
    """Return a page of a PDF as a PNG with so many pixels per inch; empty if it cannot be drawn."""
    try:
        return kreuzberg.render_pdf_page(str(path), number - 1, dpi=resolution)
    except (kreuzberg.KreuzbergError, OSError, ValueError, RuntimeError):
        return b""


def marked_pages(path: Path, mime_type: str, **options: Any) -> Iterator[tuple[int | None, str]]:
    """Yield a file's Markdown by page, for formats whose pages the library can only mark in the text.

    Text before the first page has no number.
    """
    mark = secrets.token_hex(16)  # which no document contains
    config = kreuzberg.PageConfig(
        extract_pages=True, insert_page_markers=True, marker_format=f"\n\n{mark} {{page_num}}\n\n"
    )
    before, *rest = re.split(rf"{mark} (\d+)", markdown(path, mime_type, pages=config, **options))
    yield None, before
    for number, text in zip(rest[::2], rest[1::2], strict=True):
        yield int(number), text


def _extract(content: Path | bytes, mime_type: str, options: dict[str, Any]) -> kreuzberg.ExtractionResult:
    config = kreuzberg.ExtractionConfig(
        use_cache=False,
        enable_quality_processing=False,
        concurrency=kreuzberg.ConcurrencyConfig(max_threads=1),
        **{"output_format": "markdown", **options},
    )
    extract: Callable[..., kreuzberg.ExtractionResult] = (
        kreuzberg.extract_bytes_sync if isinstance(content, bytes) else kreuzberg.extract_file_sync
    )
    try:
        return extract(content, mime_type, config=config)
    except (kreuzberg.KreuzbergError, OSError, ValueError) as error:
        message = str(error).lower()
        if _NOT_LOADED in message:
            raise OSError(
                "PDFium cannot be loaded from EXTRACTION_TEMP_DIR. Is it mounted with noexec?"
            ) from None
        if any(map(message.__contains__, _TOO_LARGE)):
            raise ExtractionError("file_too_complex", "The image has more pixels than allowed.") from None
        raise ExtractionError(
            "encrypted_file" if any(map(message.__contains__, _ENCRYPTED)) else "broken_file"
        ) from None
