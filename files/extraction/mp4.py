"""Reads the track types of an MP4, which distinguish an audio recording from a video."""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

#: Boxes that are read at most: a file may contain any number of them with wrong lengths.
_MAX_BOXES = 1000
#: Path of nested boxes; the last one contains a track's type.
_TYPE_PATH = (b"moov", b"trak", b"mdia", b"hdlr")


def tracks(file: BinaryIO) -> set[bytes]:
    """Return the types of an MP4's tracks, such as ``soun`` and ``vide``; empty if it declares none."""
    return set(_types(file, 0, file.seek(0, os.SEEK_END), _TYPE_PATH, iter(range(_MAX_BOXES))))


def _types(
    file: BinaryIO, at: int, end: int, path: tuple[bytes, ...], budget: Iterator[int]
) -> Iterator[bytes]:
    """Yield the types at the end of ``path`` in the boxes from ``at`` to ``end``, until ``budget`` is used up."""
    for _ in budget:
        if at + 8 > end:  # the declared position may be beyond any file
            return
        file.seek(at)
        head = file.read(16)
        if len(head) < 16:
            return
        length, name = struct.unpack_from(">I4s", head)
        content = at + 8
        if length == 1:  # a 64-bit length follows
            (length,) = struct.unpack_from(">Q", head, 8)
            content = at + 16
        after = at + length if length else end
        if after < content:
            return
        if name == path[0] and len(path) > 1:
            yield from _types(file, content, min(after, end), path[1:], budget)
        elif name == path[0]:
            file.seek(content + 8)
            yield file.read(4)
        at = after
