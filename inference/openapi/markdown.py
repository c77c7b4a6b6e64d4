"""Writes the pages in ``docs/routes/`` as Markdown: one for each route, and an index."""

from collections.abc import Iterable

from gtapi.json_types import JSON
from inference.openapi import schema_text
from inference.openapi.routes import FORM, Route, routes

NOTE = "<!-- Written by `manage.py openapi --docs` out of inference/openapi/. Change it there. -->\n"
TREATED = {
    "honoured": ("Honoured", "The gateway itself acts on these."),
    "checked": ("Checked and passed on", "Held against OpenAI's limits, then sent to the model as they are."),
    "passed": ("Passed on", "Sent to the model as they are."),
}
PLACES = {"path": "In the address", "query": "In the query", "header": "Headers"}
LANGUAGES = {"curl": ("curl", "bash"), "python": ("Python", "python"), "node": ("Node", "javascript")}


def pages() -> dict[str, str]:
    """Return every page by the name of its file."""
    return {"README.md": _index()} | {f"{route.name}.md": page(route) for route in routes()}


def _index() -> str:
    rows = [
        (f"[{_call(route)}]({route.name}.md)", route.title, f"`{route.scope}`" if route.scope else "none")
        for route in routes()
    ]
    return "\n".join(
        [
            NOTE,
            "# Routes",
            "",
            "Everything that is served under the base URL, with and without `/v1`. The same as a page of the",
            "gateway's own is at `/api/tenant/docs`, and for programs at `/api/tenant/openapi.json`.",
            "",
            *_table(("route", "", "scope of the key"), rows),
            "",
        ]
    )


def page(route: Route) -> str:
    """Return a route's page."""
    parts = [NOTE, f"# {route.title}", "", _call(route), "", route.about, "", *_needs(route)]
    for title, properties, required in located(route):
        parts += [f"## {title}", "", *_parameters(properties, required), ""]
    parts += [*_body(route), *_answers(route), *_errors(route), "## Examples", ""]
    for language, source in route.examples.items():
        label, fence = LANGUAGES[language]
        parts += [f"{label}:", "", f"```{fence}", source, "```", ""]
    return "\n".join(parts).rstrip() + "\n"


def located(route: Route) -> list[tuple[str, dict[str, JSON], tuple[str, ...]]]:
    """Return the parameters outside the body: where they are, their schemas, and which are required."""
    groups = []
    for place, title in PLACES.items():
        here = [parameter for parameter in route.parameters if parameter["in"] == place]
        properties = {p["name"]: {**p["schema"], "description": p["description"]} for p in here}
        if properties:
            groups.append((title, properties, tuple(p["name"] for p in here if p.get("required"))))
    return groups


def _call(route: Route) -> str:
    return f"`{route.method.upper()} {route.path}`"


def _needs(route: Route) -> list[str]:
    if not route.scope:
        return ["It needs no key.", ""]
    needs = f"The key needs the scope `{route.scope}`"
    return [
        f"{needs}, the model the capability `{route.capability}`." if route.capability else f"{needs}.",
        "",
    ]


def _body(route: Route) -> list[str]:
    if route.body is None:
        return []
    is_form = route.body.media_type == FORM
    lines = [
        "## Parameters",
        "",
        f"The body is {'a form' if is_form else 'JSON'} (`{route.body.media_type}`).",
    ]
    if route.body.optional:
        lines.append("It may be left out.")
    if not is_form:
        lines.append("Null counts as absent.")
    what = "sent to the model as they are" if route.capability else "ignored"
    lines.append(f"Parameters that no list here names are {what}.")
    lines.append("")
    for treatment, (title, about) in TREATED.items():
        if properties := route.body.treated(treatment):
            lines += [f"### {title}", "", about, "", *_parameters(properties, route.body.required), ""]
    lines += ["### Refused", ""]
    lines += [
        "A parameter that is required and not there, and one that was checked and is not what its list says:"
    ]
    lines += ["`400`, and `param` names it.", ""]
    if route.left_out:
        lines += ["Left out, since elsewhere they choose a model, an address or a credential:"]
        lines += [", ".join(f"`{name}`" for name in route.left_out) + ".", ""]
    return lines


def _parameters(properties: dict[str, JSON], required: tuple[str, ...]) -> list[str]:
    described = schema_text.parameters(properties, required)
    rows = [
        (f"`{field.name}`" + (" (required)" if field.required else ""), field.type, field.about)
        for field in described
    ]
    lines = _table(("parameter", "type", ""), rows)
    for field in described:
        if field.fields:
            lines += ["", f"Inside `{field.name}`:", "", *_fields(field.fields)]
    return lines


def _answers(route: Route) -> list[str]:
    lines = ["## Answer", "", "Status 200, as one of:", ""]
    for kind, schema in route.answers.items():
        about = schema_text.resolved(schema).get("description", "") if schema else ""
        lines.append(f"- `{kind}`" + (f": {about}" if about else ""))
    if route.events:
        end = f", then `data: {route.events.end}`" if route.events.end else ""
        lines.append(f"- `text/event-stream`: one JSON object an event{end}")
    schemas = [schema for schema in route.answers.values() if schema and schema_text.fields(schema)]
    for schema in schemas:
        lines += ["", "Fields:", "", *_fields(schema_text.fields(schema))]
    if route.events:
        lines += ["", "Fields of an event:", "", *_fields(schema_text.fields(route.events.schema))]
    return [*lines, ""]


def _fields(described: Iterable[schema_text.FieldDescription], depth: int = 0) -> list[str]:
    lines = []
    for field in described:
        about = f": {field.about}" if field.about else ""
        kind = f" ({field.type}{'' if field.required else ', optional'})"
        head = f"`{field.name}`{kind}" if field.type else field.name
        lines += [f"{'  ' * depth}- {head}{about}", *_fields(field.fields, depth + 1)]
    return lines


def _errors(route: Route) -> list[str]:
    rows = [
        (problem.status, ", ".join(f"`{code}`" for code in problem.codes), problem.means)
        for problem in route.problems
    ]
    return ["## Errors", "", *_table(("status", "code", ""), rows), ""]


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [heads, ("---",) * len(heads), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
