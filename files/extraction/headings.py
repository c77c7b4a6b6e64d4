"""Splits Markdown into sections at its headings."""

import re
from collections.abc import Iterator

from files.extraction.sections import Section

_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t#]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
#: Separates a heading from the headings above it in a path.
SEPARATOR = " > "
#: Characters of a heading path.
MAX_LENGTH = 300


def sections(text: str, page: int | None = None) -> Iterator[Section]:
    """Yield the text under each heading, with the path of headings above it (``Leave > Rules``)."""
    above: list[tuple[int, str]] = []
    lines: list[str] = []
    fence = ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if mark:
            fence = "" if fence and mark[1].startswith(fence) else fence or mark[1]
        heading = None if fence or mark else _HEADING.fullmatch(line)
        if heading:
            yield from _section(lines, above, page)
            level = len(heading[1])
            above = [(depth, title) for depth, title in above if depth < level]
            above.append((level, heading[2]))
            lines = []
        lines.append(line)
    yield from _section(lines, above, page)


def _section(lines: list[str], above: list[tuple[int, str]], page: int | None) -> Iterator[Section]:
    text = "\n".join(lines).strip()
    if text:
        heading = SEPARATOR.join(title for _, title in above if title)
        yield Section(text, page, heading[:MAX_LENGTH])
