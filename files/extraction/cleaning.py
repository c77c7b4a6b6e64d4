"""Text as it may be stored, searched and shown."""

import re

#: Characters that PostgreSQL or JSON do not take, or that nobody sees.
_UNWANTED = re.compile("[\0-\x08\x0e-\x1f\x7f\ud800-\udfff\ufeff\ufffe\uffff]+")
_LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_EMPTY_LINES = re.compile(r"\n\s*\n")
_BLANKS = re.compile(r"[^\S\n]{80,}")
LONGEST_HEADING = 300


def clean(text: str) -> str:
    """Return text without what cannot be stored, and without the emptiness that would only take room."""
    text = _LINE_ENDS.sub("\n", _UNWANTED.sub("", text))
    return _BLANKS.sub(" ", _EMPTY_LINES.sub("\n\n", text)).strip()


def clean_line(text: str) -> str:
    return " ".join(clean(text[: 4 * LONGEST_HEADING]).split())[:LONGEST_HEADING]
