"""The tracks of an MP4, by which a recording is told from a film."""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

#: Boxes that are looked at: a file may hold any number of them, and lie about their lengths.
_MOST_BOXES = 1000
#: The boxes, one in the other, at whose end a track says of what kind it is.
_WAY = (b"moov", b"trak", b"mdia", b"hdlr")


def tracks(file: BinaryIO) -> set[bytes]:
    """Return the kinds of an MP4's tracks, among them ``soun`` and ``vide``; nothing where it does not say."""
    return set(_kinds(file, 0, file.seek(0, os.SEEK_END), _WAY, iter(range(_MOST_BOXES))))


def _kinds(file: BinaryIO, at: int, end: int, way: tuple[bytes, ...], left: Iterator[int]) -> Iterator[bytes]:
    """Yield what is at the end of ``way`` in the boxes from ``at`` to ``end``, as long as any are ``left``."""
    for _ in left:
        if at + 8 > end:  # it may be said to be where no file can be read
            return
        file.seek(at)
        head = file.read(16)
        if len(head) < 16:
            return
        length, name = struct.unpack_from(">I4s", head)
        content = at + 8
        if length == 1:  # it is longer than 32 bits can say
            (length,) = struct.unpack_from(">Q", head, 8)
            content = at + 16
        after = at + length if length else end
        if after < content:
            return
        if name == way[0] and len(way) > 1:
            yield from _kinds(file, content, min(after, end), way[1:], left)
        elif name == way[0]:
            file.seek(content + 8)
            yield file.read(4)
        at = after
