"""Each parameter is treated as the description says: acted upon, checked, passed on or left out."""

import json

import pytest

from inference.openapi.routes import FORM, routes
from tests.openapi.provider import asked
from tests.openapi.test_description import example
from tests.upstream import Wire
from tests.wire import envelope

CALLING = [route for route in routes() if route.capability]
EACH_CALLING = pytest.mark.parametrize("route", CALLING, ids=lambda route: route.name)
#: What another parameter has to be for this one to be allowed.
NEEDS = {"top_logprobs": {"logprobs": True}, "stream_options": {"stream": True}}


def call(site, route, parameters=None):
    """Send an example with more parameters; the answer, and what the provider got."""
    request, parameters = example(route), parameters or {}
    before = len(site.upstream.received(site.world.raw))
    if route.body.media_type == FORM:
        request["data"] |= {name: _written(value) for name, value in parameters.items()}
    else:
        request["json"] |= parameters
    response = site.client.post(route.path, **request)
    arrived = site.upstream.received(site.world.raw)[before:]
    return response, asked(Wire(None, arrived[0], reused=False)) if arrived else None


def _written(value):
    """A value as a field of a form."""
    if isinstance(value, list):
        return [str(item) for item in value]
    return value if isinstance(value, str) else json.dumps(value)


def wrong(schema):
    """A value of a type that the schema does not have."""
    if "enum" in schema:
        return "wrong"
    kinds: set[str] = set()
    for one in (schema, *schema.get("anyOf", ())):
        given = one.get("type", [])
        kinds |= {given} if isinstance(given, str) else set(given)
    values = {"string": "wrong", "object": {"wrong": True}, "integer": 5}
    return next(value for kind, value in values.items() if kind not in kinds)


@EACH_CALLING
def test_passed_parameters_are_forwarded_unchanged(site, route):
    for treatment in ("checked", "passed"):
        for name, schema in route.body.treated(treatment).items():
            for value in schema.get("examples", ()):
                response, arrived = call(site, route, {name: value, **NEEDS.get(name, {})})
                assert response.status_code == 200, (name, response.text)
                if route.body.media_type == FORM:
                    field = _written(value)
                    assert arrived[name] == (field[0] if isinstance(field, list) else field), name
                else:
                    assert arrived[name] == value, name


@EACH_CALLING
def test_passed_parameters_are_not_validated(site, route):
    for name, schema in {**route.body.treated("passed"), "of_tomorrow": {"type": "string"}}.items():
        if schema.get("format") == "binary":
            continue
        value = "odd" if route.body.media_type == FORM else {"odd": [1, None]}
        response, arrived = call(site, route, {name: value})
        assert response.status_code == 200, (name, response.text)
        assert arrived[name] == value


@EACH_CALLING
def test_invalid_checked_or_honoured_parameter_is_refused_by_name(site, route):
    is_form = route.body.media_type == FORM
    for treatment in ("honoured", "checked"):
        for name, schema in route.body.treated(treatment).items():
            if is_form and (schema.get("type", "string") == "string" and "enum" not in schema):
                continue  # in a form everything is a string, and a file is a file
            response, arrived = call(site, route, {name: "wrong" if is_form else wrong(schema)})
            error = envelope(response, 400)
            assert (error["param"] or "").partition("[")[0].partition(".")[0] == name
            assert error["code"] in ("invalid_type", "invalid_value")
            assert arrived is None


@EACH_CALLING
def test_limits_match_the_description(site, route):
    for name, schema in route.body.properties.items():
        for limit, beyond in (("minimum", -1), ("maximum", 1)):
            if limit in schema:
                within, _ = call(site, route, {name: schema[limit], **NEEDS.get(name, {})})
                assert within.status_code == 200, (name, within.text)
                refused, arrived = call(site, route, {name: schema[limit] + beyond, **NEEDS.get(name, {})})
                assert envelope(refused, 400, "invalid_value")["param"] == name
                assert arrived is None
        for choice in schema.get("enum", ()):
            response, _ = call(site, route, {name: choice})
            assert response.status_code == 200, (name, choice, response.text)
        if "maxLength" in schema:
            refused, _ = call(site, route, {name: "x" * (schema["maxLength"] + 1)})
            assert envelope(refused, 400, "invalid_value")["param"] == name


@EACH_CALLING
def test_left_out_parameters_are_not_forwarded(site, route):
    response, arrived = call(site, route, dict.fromkeys(route.left_out, "x"))
    assert response.status_code == 200
    assert route.left_out
    assert not arrived.keys() & set(route.left_out)


@EACH_CALLING
def test_provider_receives_its_raw_model_id(site, route):
    _, arrived = call(site, route)
    assert arrived["model"] == site.world.raw


@EACH_CALLING
def test_described_streams_exist(site, route):
    asking = {"stream_format": "sse"} if route.name == "speech" else {"stream": True}
    response, _ = call(site, route, asking)
    assert response.headers["content-type"].startswith("text/event-stream") == bool(route.events)
