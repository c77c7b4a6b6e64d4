"""HTML extractor: text without metadata, scripts and styles; the page's title heads text before any heading."""

import html
import re
from collections.abc import Iterator
from pathlib import Path

from files.extraction import headings
from files.extraction.formats import kreuzberg_adapter
from files.extraction.formats.html_flatten import flatten
from files.extraction.formats.text import decode
from files.extraction.sections import Section

_CHARSET = re.compile(rb"<meta[^<>]{0,200}?charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([\w-]{2,40})", re.IGNORECASE)
_TITLE = re.compile(r"<title>([^<>]{1,1000})</title", re.IGNORECASE)
#: Bytes in which a page declares its encoding, and characters in which its title must be.
_ENCODING_BYTES = 4096
_TITLE_CHARACTERS = 65536


def sections(path: Path, name: str) -> Iterator[Section]:
    data = path.read_bytes()
    declared = _CHARSET.search(data[:_ENCODING_BYTES])
    text = decode(data, declared[1].decode() if declared else "")
    title = _TITLE.search(text[:_TITLE_CHARACTERS])
    heading = " ".join(html.unescape(title[1]).split()) if title else ""
    for section in headings.sections(markdown(text)):
        yield Section(section.text, None, section.heading or heading)


def markdown(text: str) -> str:
    """Return an HTML page as Markdown."""
    return kreuzberg_adapter.markdown(flatten(text).encode(errors="replace"), "text/html")
