"""HTML. What pages say of themselves to machines is left out; the title heads what no heading does."""

import html
import re
from collections.abc import Iterator
from pathlib import Path

from files.extraction import headings
from files.extraction.formats import library
from files.extraction.formats.text import decode
from files.extraction.sections import ExtractionError, Section

# None of these looks twice at the same character, however many tags are left open.
_CHARSET = re.compile(rb"<meta[^<>]{0,200}?charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([\w-]{2,40})", re.IGNORECASE)
_FOR_MACHINES = re.compile(r"</?(?:meta|link|base)\b[^<>]*>", re.IGNORECASE)
_LOOKED_AT = 4096
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]{0,15})")
#: Tags that stand alone, or that may be left open.
_NEED_NO_END = frozenset(
    re.findall(
        r"\w+",
        "area base br col embed hr img input link meta param source track wbr "
        "body dd dt head html li option optgroup p rp rt tbody td tfoot th thead tr",
    )
)
_DEEPEST = 2000
_MOST_OPEN = 10_000


def sections(path: Path, name: str) -> Iterator[Section]:
    data = path.read_bytes()
    declared = _CHARSET.search(data[:_LOOKED_AT])
    text = decode(data, declared[1].decode() if declared else "")
    _refuse_mazes(text)
    title, _, _ = _between(text, "title")
    _, before, after = _between(text, "head")
    # Without the list of its bytes' meaning, since these are ours.
    body = _FOR_MACHINES.sub("", before + after)
    heading = " ".join(html.unescape(title).split())
    content = library.markdown(body.encode(errors="replace"), "text/html")
    for section in headings.sections(content):
        yield Section(section.text, None, section.heading or heading)


def _refuse_mazes(text: str) -> None:
    """Refuse what takes the library time by the square of its size: deep nesting, and tags never closed."""
    if text.count("<") - text.count(">") > _MOST_OPEN:
        raise ExtractionError("file_too_complex", "The HTML is full of tags that are never closed.")
    depth = 0
    for closing, name in _TAG.findall(text):
        if name.lower() not in _NEED_NO_END:
            depth = max(0, depth - 1) if closing else depth + 1
            if depth > _DEEPEST:
                raise ExtractionError("file_too_complex", "The HTML is nested too deeply.")


def _between(text: str, tag: str) -> tuple[str, str, str]:
    """Return what the first pair of these tags encloses, and what is before and after it."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters of other scripts change their length
        lowered = text
    start = lowered.find(f"<{tag}>")
    if start < 0:
        start = lowered.find(f"<{tag} ")
    opened = lowered.find(">", start) + 1 if start >= 0 else 0
    end = lowered.find(f"</{tag}", opened) if opened else -1
    if end < 0:
        return "", text, ""
    return text[opened:end], text[:start], text[lowered.find(">", end) + 1 or len(text) :]
