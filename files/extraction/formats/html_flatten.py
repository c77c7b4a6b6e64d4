"""Flattens HTML: keeps its text and structure, removes nesting and closes open tags.

Kreuzberg drops text below a certain depth, and mistakes unclosed tags for nesting. The time that this takes depends
on the page's length alone.
"""

import re
from collections.abc import Callable
from html import escape

#: A tag with its attributes, or the beginning of a comment or declaration. Quotes may contain angle brackets.
_TAG = re.compile(
    r"""<(?:(?P<end>/?)(?P<name>[A-Za-z][\w:-]{0,30})(?P<rest>(?:[^<>"']|"[^"]{0,4000}"|'[^']{0,4000}')*+)>|!--|[!?][^<>]*>)"""
)
_ATTRIBUTE = re.compile(
    r"""\b(href|alt)\s{0,9}=\s{0,9}(?:"([^"]{0,2000})"|'([^']{0,2000})'|([^\s"'>]{1,2000}))""", re.IGNORECASE
)
_ANY_TAG = re.compile(r"<[^<>]*>")
#: Elements without visible text.
_INVISIBLE = {"script", "style", "noscript", "template", "svg", "math", "head", "title", "iframe", "object"}
_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
_CELLS = {"td", "th"}
_LISTS = {"ul", "ol"}
#: Inline elements; every other tag ends a line.
_INLINE = {
    "b",
    "strong",
    "i",
    "em",
    "u",
    "s",
    "small",
    "big",
    "font",
    "span",
    "code",
    "tt",
    "kbd",
    "samp",
    "var",
}
_INLINE |= {"sub", "sup", "mark", "abbr", "cite", "q", "time", "label", "ins", "del", "wbr"}
_MAX_LIST_DEPTH = 10


def flatten(text: str) -> str:
    """Return equivalent HTML of headings, paragraphs, lists, tables, links and preformatted text only."""
    return _Flattener(text).result()


class _Flattener:
    def __init__(self, text: str) -> None:
        self.text = text
        self.lowered = text.lower() if len(text.lower()) == len(text) else text
        self.out: list[str] = []
        self.block = ""
        self.link = False
        self.tables = 0
        self.lists: list[str] = []

    def result(self) -> str:
        at = 0
        while match := _TAG.search(self.text, at):
            self._text(self.text[at : match.start()])
            at = match.end()
            if match["name"]:
                at = self._tag(match["name"].lower(), bool(match["end"]), match["rest"], at)
            elif match[0] == "<!--":
                at = self._after("-->", at)
        self._text(self.text[at:])
        self._close()
        self.out += [f"</{name}>" for name in reversed(self.lists)]
        if self.tables:
            self.out.append("</table>")
        return "".join(self.out)

    def _text(self, text: str) -> None:
        self.out.append(text.replace("<", "&lt;"))

    def _after(self, mark: str, at: int) -> int:
        position = self.lowered.find(mark, at)
        return len(self.text) if position < 0 else position + len(mark)

    def _tag(self, name: str, end: bool, rest: str, at: int) -> int:
        """Handle a tag, and return the position to continue from."""
        if name in _INVISIBLE:
            return at if end or rest.endswith("/") else self._after(">", self._after(f"</{name}", at))
        if name == "pre" and not end:
            return self._preformatted(at)
        if name in _INLINE:
            return at
        if name == "a":
            self._link(end, rest)
        elif name == "img":
            self._text(_attribute(rest, "alt"))
        elif name == "br":
            self.out.append(" " if self.tables else "<br>")
        else:
            self._structure(name, end)
        return at

    def _structure(self, name: str, end: bool) -> None:
        handlers: dict[str, Callable[[str, bool], None]] = {
            "table": self._table,
            "tr": self._row,
            "li": self._item,
        }
        handlers |= dict.fromkeys(_CELLS, self._cell) | dict.fromkeys(_LISTS, self._list)
        if name in handlers:
            handlers[name](name, end)
        elif self.tables:
            self.out.append(" ")
        else:
            self._open(name if name in _HEADINGS and not end else "p")

    def _close(self) -> None:
        if self.link:
            self.out.append("</a>")
            self.link = False
        if self.block:
            self.out.append(f"</{self.block}>")
            self.block = ""

    def _open(self, name: str) -> None:
        self._close()
        self.out.append(f"<{name}>")
        self.block = name

    def _link(self, end: bool, rest: str) -> None:
        if self.link:
            self.out.append("</a>")
        target = "" if end else _attribute(rest, "href")
        self.link = target.startswith(("http://", "https://", "mailto:"))
        if self.link:
            self.out.append(f'<a href="{escape(target)}">')

    def _preformatted(self, at: int) -> int:
        close = self.lowered.find("</pre", at)
        inside = self.text[at : len(self.text) if close < 0 else close]
        self._close()
        self.out.append(f"<pre>{_ANY_TAG.sub('', inside).replace('<', '&lt;')}</pre>")
        return len(self.text) if close < 0 else self._after(">", close)

    def _table(self, name: str, end: bool) -> None:
        self._close()
        if end and self.tables:
            self.tables -= 1
        # Only the outer one of nested tables is kept.
        if not self.tables:
            self.out.append(f"<{'/' if end else ''}table>")
        if not end:
            self.tables += 1

    def _row(self, name: str, end: bool) -> None:
        if self.tables == 1:
            self._close()
            self.out.append("</tr>" if end else "<tr>")
        else:
            self.out.append(" ")

    def _cell(self, name: str, end: bool) -> None:
        if self.tables == 1:
            self._close()
            self.out.append(f"</{name}>" if end else f"<{name}>")
        else:
            self.out.append(" ")

    def _list(self, name: str, end: bool) -> None:
        if self.tables:
            self.out.append(" ")
            return
        self._close()
        if end and self.lists:
            self.out.append(f"</{self.lists.pop()}>")
        elif not end and len(self.lists) < _MAX_LIST_DEPTH:
            self.lists.append(name)
            self.out.append(f"<{name}>")

    def _item(self, name: str, end: bool) -> None:
        if self.tables or not self.lists:
            self.out.append(" ")
            return
        self._close()
        self.out.append("</li>" if end else "<li>")


def _attribute(rest: str, name: str) -> str:
    for key, *values in _ATTRIBUTE.findall(rest):
        if key.lower() == name:
            return str(next(filter(None, values), "")).strip()
    return ""
