"""Normalisation of extracted text: removes characters that PostgreSQL and JSON refuse, and excess whitespace."""

import re

#: Characters that PostgreSQL or JSON refuse, and invisible ones.
_REMOVED = re.compile("[\0-\x08\x0e-\x1f\x7f\ud800-\udfff\ufeff\ufffe\uffff]+")
_LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_BLANK_LINES = re.compile(r"\n\s*\n")
_SPACES = re.compile(r"[^\S\n]{80,}")
MAX_HEADING = 300


def clean(text: str) -> str:
    """Return text with plain line ends, without characters that cannot be stored and without excess whitespace."""
    text = _LINE_ENDS.sub("\n", _REMOVED.sub("", text))
    return _SPACES.sub(" ", _BLANK_LINES.sub("\n\n", text)).strip()


def clean_line(text: str) -> str:
    """Return a heading cleaned, on one line, cut to the maximum length."""
    return " ".join(clean(text[: 4 * MAX_HEADING]).split())[:MAX_HEADING]
