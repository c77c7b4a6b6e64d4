"""The HTML reference page, with its style and script embedded."""

from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from django.template.loader import render_to_string
from django.utils.html import escape

from inference.openapi import schema_text
from inference.openapi.assembly import description
from inference.openapi.markdown import LANGUAGES, TREATED, located
from inference.openapi.routes import FOLDER, FORM, Route, routes
from inference.openapi.schema_text import FieldDescription

#: Placeholder for the base URL, which depends on the request.
BASE_URL = "https://base-url.invalid"


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters with the same treatment or location."""

    title: str
    about: str
    fields: list[FieldDescription]


@dataclass(frozen=True, slots=True)
class Shape:
    """One of the formats of a response."""

    media_type: str
    about: str
    fields: tuple[FieldDescription, ...]


@dataclass(frozen=True, slots=True)
class ReferenceSection:
    """A route on the page."""

    route: Route
    is_form: bool
    groups: list[Group]
    shapes: list[Shape]
    examples: list[tuple[str, str, str]]


def page(base_url: str) -> str:
    """Return the page for clients that reach the gateway at ``base_url``."""
    return _rendered().replace(BASE_URL, escape(base_url))


@cache
def policy() -> str:
    """Return the page's content security policy: its own style and script, by their digests, and nothing else."""
    return (
        f"default-src 'none'; style-src '{_digest('reference.css')}'; script-src '{_digest('reference.js')}'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@cache
def _rendered() -> str:
    document = description()
    tags = [
        (tag, [_section(route) for route in routes() if route.tag == tag["name"]]) for tag in document["tags"]
    ]
    return render_to_string(
        "reference/page.html",
        {
            "info": document["info"],
            "tags": tags,
            "base_url": BASE_URL,
            "languages": [(language, label) for language, (label, _) in LANGUAGES.items()],
            "style": _asset("reference.css"),
            "script": _asset("reference.js"),
        },
    )


def _section(route: Route) -> ReferenceSection:
    groups = [
        Group(title, "", schema_text.parameters(properties, required))
        for title, properties, required in located(route)
    ]
    if route.body:
        groups += [
            Group(title, about, schema_text.parameters(treated, route.body.required))
            for treatment, (title, about) in TREATED.items()
            if (treated := route.body.treated(treatment))
        ]
    return ReferenceSection(
        route,
        bool(route.body and route.body.media_type == FORM),
        groups,
        _shapes(route),
        [(language, LANGUAGES[language][0], source) for language, source in route.examples.items()],
    )


def _shapes(route: Route) -> list[Shape]:
    shapes = [
        Shape(kind, schema_text.resolved(schema).get("description", ""), schema_text.fields(schema))
        for kind, schema in route.answers.items()
    ]
    if route.events:
        ends = f" The last event is `data: {route.events.end}`." if route.events.end else ""
        about = f"With `stream`: one object an event.{ends}"
        if route.name == "speech":
            about = "With `stream_format: sse`: one object an event."
        shapes.append(Shape("text/event-stream", about, schema_text.fields(route.events.schema)))
    return shapes


@cache
def _asset(name: str) -> str:
    return (FOLDER / "assets" / name).read_text()


def _digest(name: str) -> str:
    return f"sha256-{b64encode(sha256(_asset(name).encode()).digest()).decode()}"
