"""Splits a multi-page TIFF into pages: the library reads only the first."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

#: Signatures of a TIFF, and the byte order that each declares, as in ``struct``.
_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
#: Pages that are read at most.
_MAX_PAGES = 10_000
_ENTRY = 12
#: Tags with the offsets of an image's strips or tiles, and the formats of such numbers, as in ``struct``.
_OFFSET_TAGS = (273, 324)
_NUMBER_FORMATS = {3: "H", 4: "I"}


@dataclass(frozen=True, slots=True)
class TiffPage:
    """A page, counted from 1, and the offset of its directory in the file."""

    number: int
    offset: int


def pages(path: Path) -> list[TiffPage]:
    """Return the pages in order; empty if the file is not a TIFF.

    A page that shares image data with an earlier one is left out: it has nothing new, and a small file
    could declare thousands of such pages.
    """
    pages: list[TiffPage] = []
    known: set[int] = set()
    with path.open("rb") as file:
        for number, (offset, strips) in enumerate(_directories(file), 1):
            if known.isdisjoint(strips):
                pages.append(TiffPage(number, offset))
            known.update(strips)
            known.discard(0)  # a missing strip
    return pages


def _directories(file: IO[bytes]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the offset of each page's directory, and the offsets of its strips or tiles."""
    order = _BYTE_ORDERS.get(file.read(4))
    seen: set[int] = set()
    while order is not None and len(seen) < _MAX_PAGES:
        data = file.read(4)
        offset = struct.unpack(f"{order}I", data)[0] if len(data) == 4 else 0
        if not offset or offset in seen:
            return
        seen.add(offset)
        file.seek(offset)
        count = file.read(2)
        if len(count) < 2:
            return
        size = struct.unpack(f"{order}H", count)[0] * _ENTRY
        entries = file.read(size)
        yield offset, _strips(file, order, entries)
        file.seek(offset + 2 + size)


def _strips(file: IO[bytes], order: str, entries: bytes) -> tuple[int, ...]:
    for start in range(0, len(entries) - _ENTRY + 1, _ENTRY):
        tag, number_type, count, offset = struct.unpack_from(f"{order}HHII", entries, start)
        if tag not in _OFFSET_TAGS or number_type not in _NUMBER_FORMATS:
            continue
        width = struct.calcsize(_NUMBER_FORMATS[number_type])
        data = entries[start + 8 : start + 8 + count * width]
        if count * width > 4:
            file.seek(offset)
            data = file.read(count * width)
        return struct.unpack(
            f"{order}{len(data) // width}{_NUMBER_FORMATS[number_type]}", data[: len(data) // width * width]
        )
    return ()


def single_page(path: Path, page: TiffPage) -> bytes:
    """Return a TIFF whose first page this is."""
    content = path.read_bytes()
    order = _BYTE_ORDERS[content[:4]]
    return content[:4] + struct.pack(f"{order}I", page.offset) + content[8:]
