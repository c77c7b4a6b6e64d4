"""Render a runbook with the values of a tenant, as data for templates or as Markdown."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from django.template.loader import render_to_string

from gtapi.runbooks.runbook import Caveat, ClientSetting, CodeSnippet, Runbook

#: Allowed characters of values. Quotation marks would break snippets; angle brackets are for placeholders.
_SAFE = re.compile(r"[A-Za-z0-9._:/@+<>\[\]-]+")


@dataclass(frozen=True, slots=True)
class ServedRoute:
    """A route of the gateway: the scope that it requires, and the models that the tenant publishes for it."""

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
    """A row in the table of routes; ``served`` is None if the gateway does not have the route."""

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
    """Render a runbook for a tenant.

    Raises:
        ValueError: a value contains characters that are not allowed in snippets.
    """
    for value in (values.base_url, values.model):
        if not _SAFE.fullmatch(value):
            raise ValueError(f"{value!r} contains characters that are not allowed in a runbook")

    def substitute(text: str) -> str:
        return text.replace("{{ base_url }}", values.base_url).replace("{{ model }}", values.model)

    settings: tuple[ClientSetting, ...] = tuple(
        replace(s, value=substitute(s.value)) for s in runbook.settings
    )
    snippets: tuple[CodeSnippet, ...] = tuple(replace(s, code=substitute(s.code)) for s in runbook.snippets)
    rendered = replace(
        runbook,
        summary=substitute(runbook.summary),
        settings=settings,
        snippets=snippets,
        steps=tuple(map(substitute, runbook.steps)),
    )
    lines = tuple(
        RouteRow(call.call, call.verdict, call.how, values.served.get(call.call)) for call in rendered.routes
    )
    caveats = tuple(
        (caveat, all(call in values.served for call in caveat.needs)) for caveat in rendered.caveats
    )
    return RenderedRunbook(rendered, values, lines, caveats)


def markdown(rendered: RenderedRunbook) -> str:
    """Return a rendered runbook as Markdown."""
    text = render_to_string("runbooks/runbook.md", {"rendered": rendered, "runbook": rendered.runbook})
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
