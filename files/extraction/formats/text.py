"""Plain text and source code, in whatever encoding."""

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

import charset_normalizer

from files.extraction.detection import wide
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
_SAMPLE = 32768
_LETTERS_BEYOND_ASCII = re.compile(r"[^\0-\x7f]+")

#: What texts of Western Europe have beyond ASCII: letters, and the marks of their typographers.
_WESTERN = frozenset(
    "àáâãäåæçèéêëíîïñóôõöøùúûüÀÁÂÃÄÅÆÇÈÉÊËÍÎÏÑÓÔÕÖØÙÚÛÜßŒœ¡£§©ª«®°²·º»½¿•…€™"
    "\u00a0\u2013\u2014\u2018\u2019\u201a\u201c\u201d\u201e"
)


def sections(path: Path, name: str) -> Iterator[Section]:
    yield Section(decode(path.read_bytes()))


def decode(data: bytes, declared: str = "") -> str:
    """Return text: by its mark, as UTF-8, as it was ``declared``, or in the encoding that it looks like."""
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    unmarked = wide(data[:_SAMPLE])
    if unmarked:
        return data.decode(unmarked, errors="replace")
    try:
        return data.decode(errors="surrogatepass")
    except UnicodeDecodeError:
        return _damaged(data) or data.decode(_known(declared) or _guessed(data), errors="replace")


def _damaged(data: bytes) -> str:
    """Return a text that is UTF-8 but for a few bytes, as where it was cut; empty for others."""
    text = data.decode(errors="replace")
    wrong = text.count("\ufffd")
    right = sum(map(len, _LETTERS_BEYOND_ASCII.findall(text))) - wrong
    return text if right > 10 * wrong or (wrong == 1 and text.endswith("\ufffd")) else ""


def _known(encoding: str) -> str:
    """Return the name of an encoding of text; empty where there is none of that name."""
    try:
        found = codecs.lookup(encoding)
    except (LookupError, ValueError):
        return ""
    # Some codecs of Python's make something other than text of bytes.
    return found.name if getattr(found, "_is_text_encoding", False) else ""


def _guessed(data: bytes) -> str:
    """Return an encoding, guessed where the first letters are that ASCII does not have."""
    first = next((at for at, byte in enumerate(data[: 64 * _SAMPLE]) if byte > 127), 0)
    start = max(0, first - _SAMPLE // 2)
    sample = data[start : start + _SAMPLE]
    if _is_western(sample):
        return "cp1252"
    guess = charset_normalizer.from_bytes(sample).best()
    return guess.encoding if guess else "cp1252"


def _is_western(sample: bytes) -> bool:
    """Whether it reads well in the encoding of Western Europe, between whose neighbours short texts hardly tell."""
    try:
        runs = _LETTERS_BEYOND_ASCII.findall(sample.decode("cp1252"))
    except UnicodeDecodeError:
        return False
    return all(len(run) < 4 and _WESTERN.issuperset(run) for run in runs)
