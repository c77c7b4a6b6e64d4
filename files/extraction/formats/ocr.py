"""Recognising letters in pictures: the library has the engine, and data for it have to be installed."""

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
from files.extraction.limits import more_time
from files.extraction.sections import ExtractionError, Omission
from gtapi.text import pluralize

#: Where data are, if TESSDATA_PREFIX does not say it: a package's, or the system's.
PLACES = (
    f"{sys.prefix}/share/tessdata",
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
)
#: Languages that are looked for at once, since each takes its time.
_MOST = 3
#: Points an inch in which pages are drawn, and points that the longer side has at most.
_DENSITY = 200
_LONGEST = 4096
_POINTS_AN_INCH = 72
#: Points of the longer side of a page that is not drawn: the library draws no fewer than 72 an inch, so a larger
#: one would take more memory than there is, which ends the process and not that page alone.
_DRAWN = 8000
#: How a PNG says what a point is made of.
_GREY, _RGB, _RGBA = 0, 2, 6
#: What time is counted by, since either may be over first, and the seconds that are left to tell what was read.
_CLOCKS = (time.process_time, time.monotonic)
_TO_TELL = (1, 5)
#: Times that a picture may take what the slowest one took until now.
_SLOWER = 2
#: The library looks for itself which kind of image it is.
_ANY = "image/png"


def recognition() -> "Recognition | None":
    """Return how to read pictures in the languages that are installed; None where none is."""
    chosen = os.environ.get("TESSDATA_PREFIX")
    found = {place: _languages(place) for place in ([chosen] if chosen else PLACES)}
    place = max(found, key=lambda one: len(found[one]))
    if not found[place]:
        return None
    os.environ["TESSDATA_PREFIX"] = place
    return Recognition("+".join(found[place][:_MOST]))


def _languages(place: str) -> list[str]:
    names = sorted(file.stem for file in Path(place).glob("*.traineddata"))
    return sorted((name for name in names if name != "osd"), key=lambda name: name != "eng")


class Recognition:
    """Reads pictures, as long as there is time.

    It has time of its own, which the process gets on top when it begins with that.
    """

    def __init__(self, languages: str) -> None:
        details = kreuzberg.TesseractConfig(
            language=languages, output_format="text", enable_table_detection=False, use_cache=False
        )
        self._config = kreuzberg.OcrConfig(backend="tesseract", language=languages, tesseract_config=details)
        self._slowest = [0.0, 0.0]
        self._ends = [end - left for end, left in zip(more_time(), _TO_TELL, strict=True)]

    def has_time(self) -> bool:
        """Whether a picture more can be read, even if it takes longer than the slowest one until now."""
        times = zip(_CLOCKS, self._slowest, self._ends, strict=True)
        return all(clock() + _SLOWER * slowest < end for clock, slowest, end in times)

    def text(self, picture: Path | bytes) -> str:
        """Return what stands in a picture. Raises ExtractionError: broken_file, file_too_complex."""
        with self._timed():
            return kreuzberg_adapter.plain(picture, _ANY, ocr=self._config)

    def page(self, path: Path, page: kreuzberg_adapter.Page) -> str | None:
        """Return what stands on a page of a PDF as it looks: nothing where it is blank or cannot be drawn.

        None for a page that is too large to be drawn.
        """
        if page.longest > _DRAWN:
            return None
        density = _DENSITY
        if page.longest:
            density = min(density, int(_LONGEST * _POINTS_AN_INCH / page.longest) or 1)
        with self._timed():
            drawn = kreuzberg_adapter.drawn(path, page.number, density)
            return self.text(drawn) if drawn and not _is_blank(drawn) else ""

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = [clock() for clock in _CLOCKS]
        yield
        times = zip(_CLOCKS, began, self._slowest, strict=True)
        self._slowest = [max(slowest, clock() - start) for clock, start, slowest in times]


def nothing_read(read: int, all_of_them: int) -> ExtractionError:
    """Return why a document fails in which nothing was found by the pages that could be read."""
    return ExtractionError(
        "file_too_complex",
        f"{pluralize(all_of_them, 'page has,pages have')} no text but what is in a picture, and only {read:,} "
        "could be read in the time and memory that are allowed.",
    )


def unread(pages: int, *, installed: bool) -> Omission:
    """Return what is missing where so many pages of a document were not looked at as pictures."""
    why = (
        "that takes more time or memory than is allowed" if installed else "this gateway has no data for that"
    )
    return Omission(
        f"{pluralize(pages, 'page has,pages have')} little or no text but what may be in a picture, which was not"
        f" read: {why}."
    )


def _is_blank(png: bytes) -> bool:
    """Whether a drawn page is of one colour: the rows of its data are all the same then, but for the first."""
    width, _, depth, kind = struct.unpack_from(">IIBB", png, 16)
    row = 1 + width * depth // 8 * {_GREY: 1, _RGB: 3, _RGBA: 4}[kind]
    packed, at = bytearray(), 8
    while at < len(png):
        length, name = struct.unpack_from(">I4s", png, at)
        if name == b"IDAT":
            packed += png[at + 8 : at + 8 + length]
        at += 12 + length
    data = zlib.decompress(packed)
    return len({data[at : at + row] for at in range(row, len(data), row)}) < 2
