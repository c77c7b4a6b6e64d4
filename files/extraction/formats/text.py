"""Plain text and source code, in whatever encoding."""

import codecs
from collections.abc import Iterator
from pathlib import Path

import charset_normalizer

from files.extraction.sections import Section

#: The longest first, since UTF-32's mark begins as UTF-16's does.
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
#: Bytes of a text of no known encoding by which one is guessed.
_SAMPLE = 65536


def sections(path: Path, name: str) -> Iterator[Section]:
    yield Section(decode(path.read_bytes()))


def decode(data: bytes) -> str:
    """Return text: by its mark, as UTF-8, or in the legacy encoding that it looks like."""
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        guess = charset_normalizer.from_bytes(data[:_SAMPLE]).best()
        return data.decode(guess.encoding if guess else "cp1252", errors="replace")
