"""A runbook with a tenant's values in it, and as a page of text."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from django.template.loader import render_to_string

from gtapi.runbooks.runbook import Caveat, ClientSetting, CodeSnippet, Runbook

#: What a value may consist of, so that no quotation mark in it ends a text of a snippet. The angle brackets are
#: for placeholders.
_SAFE = re.compile(r"[A-Za-z0-9._:/@+<>\[\]-]+")


@dataclass(frozen=True, slots=True)
class ServedRoute:
    """A route that the gateway has: the scope of a key for it, and the names that a tenant publishes for it."""

    scope: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunbookValues:
    """What fills a runbook in. ``served`` are the gateway's routes, as ``METHOD /v1/path``."""

    base_url: str
    model: str
    served: Mapping[str, ServedRoute]
    tenant: str = ""
    slug: str = ""


@dataclass(frozen=True, slots=True)
class RouteRow:
    """A route in the table; ``served`` is None where the gateway does not have it yet."""

    call: str
    verdict: str
    how: str
    served: ServedRoute | None


@dataclass(frozen=True, slots=True)
class RenderedRunbook:
    """A runbook whose texts hold a tenant's values, with what of it is available."""

    runbook: Runbook
    values: RunbookValues
    lines: tuple[RouteRow, ...]
    caveats: tuple[tuple[Caveat, bool], ...]


def render(runbook: Runbook, values: RunbookValues) -> RenderedRunbook:
    """Return a runbook for a tenant.

    Raises:
        ValueError: a value holds characters that would end a text of a snippet.
    """
    for value in (values.base_url, values.model):
        if not _SAFE.fullmatch(value):
            raise ValueError(f"{value!r} cannot stand in a runbook")

    def put(text: str) -> str:
        return text.replace("{{ base_url }}", values.base_url).replace("{{ model }}", values.model)

    settings: tuple[ClientSetting, ...] = tuple(replace(s, value=put(s.value)) for s in runbook.settings)
    snippets: tuple[CodeSnippet, ...] = tuple(replace(s, code=put(s.code)) for s in runbook.snippets)
    rendered = replace(
        runbook,
        summary=put(runbook.summary),
        settings=settings,
        snippets=snippets,
        steps=tuple(map(put, runbook.steps)),
    )
    lines = tuple(
        RouteRow(call.call, call.verdict, call.how, values.served.get(call.call)) for call in rendered.routes
    )
    caveats = tuple(
        (caveat, all(call in values.served for call in caveat.needs)) for caveat in rendered.caveats
    )
    return RenderedRunbook(rendered, values, lines, caveats)


def markdown(rendered: RenderedRunbook) -> str:
    """Return a runbook as Markdown."""
    text = render_to_string("runbooks/runbook.md", {"rendered": rendered, "runbook": rendered.runbook})
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
