"""Loads the descriptions of the routes from their YAML files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from gtapi.json_types import JSON
from gtapi.yaml_files import read_yaml
from inference.endpoints import ENDPOINTS, Endpoint
from inference.provider_request import ROUTING_FIELDS

FOLDER = Path(__file__).parent
#: Where the descriptions are: those of endpoints in their folders, those of the app ``files`` here.
DESCRIPTIONS = (*(FOLDER.parent / "endpoints").glob("*/*.yaml"), *(FOLDER / "routes").glob("*.yaml"))
FORM = "multipart/form-data"
METHODS = ("get", "post", "delete")
#: How the gateway treats a parameter, in the order in which they are shown.
TREATMENTS = ("honoured", "checked", "passed")


@dataclass(frozen=True, slots=True)
class Problem:
    """An error status: what it means, its codes, and its additional headers."""

    status: str
    means: str
    codes: tuple[str, ...]
    headers: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Body:
    """The request body; ``properties`` are JSON Schemas, each with a treatment."""

    media_type: str
    required: tuple[str, ...]
    properties: Mapping[str, JSON]
    optional: bool = False

    def treated(self, treatment: str) -> dict[str, JSON]:
        """Return the parameters that the gateway treats in one way."""
        return {name: schema for name, schema in self.properties.items() if schema["x-gt"] == treatment}


@dataclass(frozen=True, slots=True)
class Events:
    """A streamed response: the schema of its events, and its end marker, if it has one."""

    schema: JSON
    end: str


@dataclass(frozen=True, slots=True)
class Route:
    """One route. ``scope`` is empty where no key is needed, ``capability`` where no model is called."""

    name: str
    method: str
    path: str
    scope: str
    capability: str
    operation: str
    tag: str
    title: str
    about: str
    parameters: tuple[JSON, ...]
    body: Body | None
    answers: Mapping[str, JSON]
    events: Events | None
    headers: Mapping[str, JSON]
    problems: tuple[Problem, ...]
    examples: Mapping[str, str]
    schemas: Mapping[str, JSON] = field(repr=False)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Parameters that never reach a provider."""
        return tuple(sorted(ROUTING_FIELDS)) if self.capability else ()


@cache
def routes() -> tuple[Route, ...]:
    """Return every route: by tag, those of one tag as the registry has them, then by address."""
    tags = [tag["name"] for tag in read_yaml(FOLDER / "description.yaml")["tags"]]
    errors = read_yaml(FOLDER / "errors.yaml")
    described = [_route(path.stem, read_yaml(path), errors) for path in DESCRIPTIONS]
    registered = list(ENDPOINTS)
    return tuple(
        sorted(
            described,
            key=lambda route: (
                tags.index(route.tag),
                registered.index(route.name) if route.capability else len(registered),
                route.path,
                METHODS.index(route.method),
            ),
        )
    )


def _route(name: str, description: JSON, errors: JSON) -> Route:
    endpoint = ENDPOINTS[description["endpoint"]] if "endpoint" in description else None
    scope = endpoint.scope if endpoint else description.get("scope", "")
    body = _body(description["body"]) if "body" in description else None
    events = description.get("events")
    return Route(
        name=name,
        method="post" if endpoint else description.get("method", "get"),
        path=endpoint.path if endpoint else description["path"],
        scope=scope,
        capability=endpoint.capability if endpoint else "",
        operation=description["operation"],
        tag=description["tag"],
        title=description["title"],
        about=description["about"],
        parameters=tuple(description.get("parameters", ())),
        body=body,
        answers=description["answers"],
        events=Events(events["schema"], events.get("end", "")) if events else None,
        headers=description.get("headers", {}),
        problems=_problems([errors[kind] for kind in _kinds(endpoint, scope, body, description)]),
        examples=description["examples"],
        schemas=description.get("schemas", {}),
    )


def _body(description: JSON) -> Body:
    media_type = FORM if description.get("form") else "application/json"
    for name, schema in description["properties"].items():
        if schema["x-gt"] not in TREATMENTS:
            raise ValueError(f"{name}: there is no treatment {schema['x-gt']}")
    return Body(
        media_type,
        tuple(description["required"]),
        description["properties"],
        description.get("optional", False),
    )


def _kinds(endpoint: Endpoint | None, scope: str, body: Body | None, description: JSON) -> list[str]:
    """Return what kinds of errors a route can answer with."""
    kinds = []
    if body:
        kinds.append("form" if body.media_type == FORM else "json")
    if any(parameter["in"] == "query" for parameter in description.get("parameters", ())):
        kinds.append("query")
    if scope:
        kinds.append("keyed")
    if endpoint:
        kinds.append("model")
    return [*kinds, *description.get("errors", ()), "every"]


def _problems(kinds: list[JSON]) -> tuple[Problem, ...]:
    """Return the errors of several kinds, those of one status as one."""
    merged: dict[str, Problem] = {}
    for kind in kinds:
        for status, description in kind.items():
            before = merged.get(status, Problem(status, "", (), {}))
            merged[status] = Problem(
                status,
                f"{before.means} {description['means']}".strip(),
                (*before.codes, *description["codes"]),
                {**before.headers, **description.get("headers", {})},
            )
    return tuple(merged[status] for status in sorted(merged))
