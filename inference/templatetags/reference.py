"""Prose and code of the description, as HTML."""

import re

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

_CODE = re.compile(r"`([^`]+)`")
_STRONG = re.compile(r"\*\*([^*]+)\*\*")
#: What stands out in a piece of code: texts, remarks, variables of a shell, and words of the language.
_TOKENS = re.compile(
    r"(?P<string>\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|`[^`]*`)"
    r"|(?P<remark>(?<!\S)(?:#|//)[^\n]*)"
    r"|(?P<variable>\$[A-Z_]+)"
    r"|(?P<word>\b(?:from|import|for|in|with|as|if|print|const|await|of|new|curl|export|True|False|true|false)\b)"
)


@register.filter
def prose(text: str) -> SafeString:
    """Return a text as paragraphs; words in backticks become code, those in double asterisks stand out."""
    paragraphs = [inline(paragraph) for paragraph in text.strip().split("\n\n")]
    return mark_safe("".join(f"<p>{paragraph}</p>" for paragraph in paragraphs))  # noqa: S308 - escaped below


@register.filter
def inline(text: str) -> SafeString:
    """Return one paragraph, without its frame."""
    marked = _STRONG.sub(r"<strong>\1</strong>", _CODE.sub(r"<code>\1</code>", escape(text)))
    return mark_safe(marked)  # noqa: S308 - escaped first


@register.filter
def coloured(source: str) -> SafeString:
    """Return code with its parts marked by what they are."""
    parts, at = [], 0
    for token in _TOKENS.finditer(source):
        parts += [escape(source[at : token.start()]), f'<i class="{token.lastgroup}">{_inside(token)}</i>']
        at = token.end()
    return mark_safe("".join([*parts, escape(source[at:])]))  # noqa: S308 - each part is escaped


def _inside(token: re.Match[str]) -> str:
    """Return a token; in a shell's text the variables stand out, too."""
    return re.sub(r"\$[A-Z_]+", r'<i class="variable">\g<0></i>', escape(token[0]))
