"""The pages of a TIFF, as a fax or a scanner makes it: the library reads the first alone."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

#: The beginning of a TIFF in either order of bytes, and how ``struct`` calls that order.
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
#: Pages that are looked for: a file may say that one follows another in a circle.
_MOST = 10_000
_ENTRY = 12
#: The entries that say where the strips or tiles of a picture begin, and how ``struct`` calls such numbers.
_STRIPS = (273, 324)
_NUMBERS = {3: "H", 4: "I"}


@dataclass(frozen=True, slots=True)
class Page:
    """A page, counted from 1, and where in the file it is described."""

    number: int
    at: int


def pages(path: Path) -> list[Page]:
    """Return the pages in their order; nothing where it is no TIFF.

    A page that shows a part of a picture of one before it is left out: it says nothing new, and by such a small
    file could say that it has thousands of pages.
    """
    found: list[Page] = []
    shown: set[int] = set()
    with path.open("rb") as file:
        for number, (at, strips) in enumerate(_described(file), 1):
            if shown.isdisjoint(strips):
                found.append(Page(number, at))
            shown.update(strips)
            shown.discard(0)  # a piece that is not there
    return found


def _described(file: IO[bytes]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield where each page is described, and where the pieces of its picture begin."""
    order = _ORDERS.get(file.read(4))
    seen: set[int] = set()
    while order is not None and len(seen) < _MOST:
        said = file.read(4)
        at = struct.unpack(f"{order}I", said)[0] if len(said) == 4 else 0
        if not at or at in seen:
            return
        seen.add(at)
        file.seek(at)
        count = file.read(2)
        if len(count) < 2:
            return
        size = struct.unpack(f"{order}H", count)[0] * _ENTRY
        entries = file.read(size)
        yield at, _strips(file, order, entries)
        file.seek(at + 2 + size)


def _strips(file: IO[bytes], order: str, entries: bytes) -> tuple[int, ...]:
    for start in range(0, len(entries) - _ENTRY + 1, _ENTRY):
        tag, kind, count, place = struct.unpack_from(f"{order}HHII", entries, start)
        if tag not in _STRIPS or kind not in _NUMBERS:
            continue
        width = struct.calcsize(_NUMBERS[kind])
        said = entries[start + 8 : start + 8 + count * width]
        if count * width > 4:
            file.seek(place)
            said = file.read(count * width)
        return struct.unpack(
            f"{order}{len(said) // width}{_NUMBERS[kind]}", said[: len(said) // width * width]
        )
    return ()


def single_page(path: Path, page: Page) -> bytes:
    """Return a TIFF that begins with a page."""
    content = path.read_bytes()
    order = _ORDERS[content[:4]]
    return content[:4] + struct.pack(f"{order}I", page.at) + content[8:]
