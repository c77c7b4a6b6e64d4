"""The OpenAPI description, assembled from its files."""

from copy import deepcopy
from functools import cache

import orjson

from gtapi.json_types import JSON
from gtapi.yaml_files import read_yaml
from inference.openapi.routes import FOLDER, FORM, Body, Events, Problem, Route, routes

EVENTS = "text/event-stream"
ERROR = {"$ref": "#/components/schemas/Error"}
REQUEST_ID = {"$ref": "#/components/headers/RequestId"}
#: Names of the languages in ``x-codeSamples``.
LANGUAGES = {"curl": "Shell", "python": "Python", "node": "JavaScript"}


@cache
def description() -> JSON:
    """Return the whole description, an OpenAPI document of version 3.1."""
    document: JSON = read_yaml(FOLDER / "description.yaml")
    schemas = document["components"]["schemas"]
    paths: JSON = {}
    for route in routes():
        schemas.update(deepcopy(dict(route.schemas)))
        if route.body:
            schemas[request_name(route)] = request_schema(route.body)
        paths.setdefault(route.path, {})[route.method] = _operation(route)
    document["paths"] = paths
    return document


@cache
def written() -> bytes:
    """Return the description as JSON."""
    return orjson.dumps(description())


def request_name(route: Route) -> str:
    """Return the name of the schema of a route's requests."""
    return f"{route.operation[0].upper()}{route.operation[1:]}Request"


def request_schema(body: Body) -> JSON:
    """Return the schema of a body; additional parameters are allowed."""
    properties = {}
    for name, described in body.properties.items():
        schema = {key: value for key, value in described.items() if key != "x-gt"}
        if body.media_type == "application/json" and name not in body.required:
            schema = nullable(schema)
        properties[name] = {**schema, "x-treatment": described["x-gt"]}
    return {"type": "object", "required": list(body.required), "properties": properties}


def nullable(schema: JSON) -> JSON:
    """Return a schema that also accepts null, which counts as absent in a JSON body."""
    schema = dict(schema)
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        schema["type"] = [*kinds, "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    elif "anyOf" in schema:
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    elif reference := schema.pop("$ref", None):
        schema["anyOf"] = [{"$ref": reference}, {"type": "null"}]
    return schema


def _operation(route: Route) -> JSON:
    operation: JSON = {
        "operationId": route.operation,
        "summary": route.title,
        "description": route.about,
        "tags": [route.tag],
        "security": [{"key": [route.scope]}] if route.scope else [],
    }
    if route.parameters:
        operation["parameters"] = list(route.parameters)
    if route.body:
        schema = {"$ref": f"#/components/schemas/{request_name(route)}"}
        content = {"schema": schema, **_encoding(route.body)}
        operation["requestBody"] = {
            "required": not route.body.optional,
            "content": {route.body.media_type: content},
        }
    if route.capability:
        operation["x-capability"] = route.capability
        operation["x-left-out"] = list(route.left_out)
    responses = {problem.status: _problem(problem) for problem in route.problems}
    operation["responses"] = {"200": _success(route), **responses}
    operation["x-codeSamples"] = [
        {"lang": LANGUAGES[language], "label": language, "source": source}
        for language, source in route.examples.items()
    ]
    return operation


def _encoding(body: Body) -> JSON:
    """Describe how forms encode objects: as ``name[field]``, like OpenAI's SDKs, and not as JSON."""
    objects = [name for name, schema in body.properties.items() if schema.get("type") == "object"]
    if body.media_type != FORM or not objects:
        return {}
    return {"encoding": {name: {"style": "deepObject", "explode": True} for name in objects}}


def _success(route: Route) -> JSON:
    content: JSON = {kind: {"schema": schema} if schema else {} for kind, schema in route.answers.items()}
    if route.events:
        content[EVENTS] = {"schema": _event(route.events), "x-end": route.events.end}
    headers = {"x-request-id": REQUEST_ID, **route.headers}
    return {"description": "It worked.", "headers": headers, "content": content}


def _event(events: Events) -> JSON:
    """Return the schema of one server-sent event: its data is JSON, or the end marker."""
    content = {"anyOf": [events.schema, ERROR]}
    data: JSON = {"type": "string", "contentMediaType": "application/json", "contentSchema": content}
    if events.end:
        data = {"anyOf": [{"const": events.end}, data]}
    return {"type": "object", "required": ["data"], "properties": {"event": {"type": "string"}, "data": data}}


def _problem(problem: Problem) -> JSON:
    return {
        "description": problem.means,
        "headers": {"x-request-id": REQUEST_ID, **problem.headers},
        "content": {"application/json": {"schema": ERROR}},
        "x-codes": list(problem.codes),
    }
