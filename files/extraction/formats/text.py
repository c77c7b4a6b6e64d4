"""Plain text extractor, and the detection of text encodings."""

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

import charset_normalizer

from files.extraction.detection import utf16_encoding
from files.extraction.sections import Section

#: Byte order marks, the longer ones first: that of UTF-32 begins like that of UTF-16.
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
#: Bytes by which an unknown encoding is guessed.
_SAMPLE = 32768
_NON_ASCII = re.compile(r"[^\0-\x7f]+")

#: Non-ASCII characters of Western European texts: letters and typographic punctuation.
_WESTERN = frozenset(
    "àáâãäåæçèéêëíîïñóôõöøùúûüÀÁÂÃÄÅÆÇÈÉÊËÍÎÏÑÓÔÕÖØÙÚÛÜßŒœ¡£§©ª«®°²·º»½¿•…€™"
    "\u00a0\u2013\u2014\u2018\u2019\u201a\u201c\u201d\u201e"
)


def sections(path: Path, name: str) -> Iterator[Section]:
    yield Section(decode(path.read_bytes()))


def decode(data: bytes, declared: str = "") -> str:
    """Decode text by its byte order mark, as UTF-8, by the ``declared`` encoding, or by a guess."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    utf16 = utf16_encoding(data[:_SAMPLE])
    if utf16:
        return data.decode(utf16, errors="replace")
    try:
        return data.decode(errors="surrogatepass")
    except UnicodeDecodeError:
        return _damaged(data) or data.decode(_known(declared) or _guessed(data), errors="replace")


def _damaged(data: bytes) -> str:
    """Return text that is UTF-8 except for a few bytes, as after a cut; empty otherwise."""
    text = data.decode(errors="replace")
    invalid = text.count("\ufffd")
    valid = sum(map(len, _NON_ASCII.findall(text))) - invalid
    return text if valid > 10 * invalid or (invalid == 1 and text.endswith("\ufffd")) else ""


def _known(encoding: str) -> str:
    """Return Python's name of a text encoding; empty for an unknown encoding."""
    try:
        codec = codecs.lookup(encoding)
    except (LookupError, ValueError):
        return ""
    # Some of Python's codecs do not decode bytes to text.
    return codec.name if getattr(codec, "_is_text_encoding", False) else ""


def _guessed(data: bytes) -> str:
    """Guess an encoding around the first non-ASCII characters."""
    first = next((at for at, byte in enumerate(data[: 64 * _SAMPLE]) if byte > 127), 0)
    start = max(0, first - _SAMPLE // 2)
    sample = data[start : start + _SAMPLE]
    if _is_western(sample):
        return "cp1252"
    guess = charset_normalizer.from_bytes(sample).best()
    return guess.encoding if guess else "cp1252"


def _is_western(sample: bytes) -> bool:
    """Return whether it looks like Windows-1252. The library confuses it with others in short texts."""
    try:
        runs = _NON_ASCII.findall(sample.decode("cp1252"))
    except UnicodeDecodeError:
        return False
    return all(len(run) < 4 and _WESTERN.issuperset(run) for run in runs)
