"""OCR with Tesseract, which Kreuzberg contains; its language data are installed separately."""

import os
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import kreuzberg

from files.extraction.formats import kreuzberg_adapter
from files.extraction.limits import time_limits
from files.extraction.sections import ExtractionError, Omission
from gtapi.text import pluralize

#: Folders that may contain language data, unless TESSDATA_PREFIX names one: a Python package's, or the system's.
DATA_FOLDERS = (
    f"{sys.prefix}/share/tessdata",
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
)
#: Languages that are recognised at once; each takes additional time.
_MAX_LANGUAGES = 3
#: Resolution at which pages are drawn, in pixels per inch, and pixels of the longer side at most.
_RESOLUTION = 200
_MAX_PIXELS = 4096
_POINTS_PER_INCH = 72
#: Points of the longer side of a page that is not drawn. The library draws at 72 pixels per inch or more, so a
#: larger page would exhaust the memory, which ends the process instead of skipping that page.
_MAX_POINTS = 8000
#: Colour types of a PNG.
_GREY, _RGB, _RGBA = 0, 2, 6
#: Processor time and wall-clock time, and the seconds of each that are reserved for returning the result.
_CLOCKS = (time.process_time, time.monotonic)
_RESERVED = (1, 5)
#: An image may take this many times as long as the slowest one before it.
_SAFETY_FACTOR = 2
#: The library detects the type of an image itself.
_ANY_IMAGE = "image/png"


def engine() -> "Engine | None":
    """Return an OCR engine for the installed languages; None if there are none."""
    chosen = os.environ.get("TESSDATA_PREFIX")
    languages = {folder: _languages(folder) for folder in ([chosen] if chosen else DATA_FOLDERS)}
    folder = max(languages, key=lambda name: len(languages[name]))
    if not languages[folder]:
        return None
    os.environ["TESSDATA_PREFIX"] = folder
    return Engine("+".join(languages[folder][:_MAX_LANGUAGES]))


def _languages(folder: str) -> list[str]:
    names = sorted(file.stem for file in Path(folder).glob("*.traineddata"))
    return sorted((name for name in names if name != "osd"), key=lambda name: name != "eng")


class Engine:
    """Recognises the text in images while the process has time left."""

    def __init__(self, languages: str) -> None:
        details = kreuzberg.TesseractConfig(
            language=languages, output_format="text", enable_table_detection=False, use_cache=False
        )
        self._config = kreuzberg.OcrConfig(backend="tesseract", language=languages, tesseract_config=details)
        self._slowest = [0.0, 0.0]
        self._ends = [end - reserved for end, reserved in zip(time_limits(), _RESERVED, strict=True)]

    def has_time(self) -> bool:
        """Return whether there is time for another image, even if it is the slowest yet."""
        times = zip(_CLOCKS, self._slowest, self._ends, strict=True)
        return all(clock() + _SAFETY_FACTOR * slowest < end for clock, slowest, end in times)

    def text(self, image: Path | bytes) -> str:
        """Return the text in an image. Raises ExtractionError: broken_file, file_too_complex."""
        with self._timed():
            return kreuzberg_adapter.plain(image, _ANY_IMAGE, ocr=self._config)

    def page_text(self, path: Path, page: kreuzberg_adapter.Page) -> str | None:
        """Return the text on a page of a PDF as it is drawn; empty if it is blank or cannot be drawn.

        None for a page that is too large to draw.
        """
        if page.longer_side > _MAX_POINTS:
            return None
        resolution = _RESOLUTION
        if page.longer_side:
            resolution = min(resolution, int(_MAX_PIXELS * _POINTS_PER_INCH / page.longer_side) or 1)
        with self._timed():
            png = kreuzberg_adapter.draw(path, page.number, resolution)
            return self.text(png) if png and not _is_blank(png) else ""

    @contextmanager
    def _timed(self) -> Iterator[None]:
        starts = [clock() for clock in _CLOCKS]
        yield
        times = zip(_CLOCKS, starts, self._slowest, strict=True)
        self._slowest = [max(slowest, clock() - start) for clock, start, slowest in times]


def no_text_error(pages_read: int, pages: int) -> ExtractionError:
    """Return the error of a document without any text on the pages that there was time for."""
    return ExtractionError(
        "file_too_complex",
        f"{pluralize(pages, 'page has,pages have')} only images, and no text was found on the {pages_read:,} that"
        " could be read within the limits of time and memory.",
    )


def unread_pages(pages: int, *, installed: bool) -> Omission:
    """Return the warning for pages that were not read with OCR."""
    reason = (
        "OCR would exceed the limits of time or memory"
        if installed
        else "OCR is not installed on this gateway"
    )
    return Omission(
        f"The images on {pluralize(pages, 'page')} were not read, so text may be missing: {reason}."
    )


def _is_blank(png: bytes) -> bool:
    """Return whether a drawn page has one colour: then all rows of its data but the first are the same."""
    width, _, depth, colour_type = struct.unpack_from(">IIBB", png, 16)
    row = 1 + width * depth // 8 * {_GREY: 1, _RGB: 3, _RGBA: 4}[colour_type]
    compressed, position = bytearray(), 8
    while position < len(png):
        length, name = struct.unpack_from(">I4s", png, position)
        if name == b"IDAT":
            compressed += png[position + 8 : position + 8 + length]
        position += 12 + length
    data = zlib.decompress(compressed)
    return len({data[start : start + row] for start in range(row, len(data), row)}) < 2
