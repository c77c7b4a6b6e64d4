"""The description says what is served, no more and no less."""

import re

import jsonschema
import pytest
import schemathesis
from openai.types import (
    completion_create_params,
    embedding_create_params,
    image_create_variation_params,
    image_edit_params,
    image_generate_params,
    moderation_create_params,
)
from openai.types.audio import speech_create_params, transcription_create_params, translation_create_params
from openai.types.chat import completion_create_params as chat_create_params

from inference.api_urls import urlpatterns
from inference.endpoints import ENDPOINTS
from inference.openapi.assembly import description, request_name
from inference.openapi.markdown import pages
from inference.openapi.routes import FORM, TREATMENTS, routes
from tests import factories
from tests.environment import CHECKOUT
from tests.wire import BASES, PLAIN, envelope

ROUTES = routes()
EACH_ROUTE = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
#: The parameters that the official SDK knows, by the name of our route.
SDK = {
    "chat": chat_create_params.CompletionCreateParamsBase,
    "completions": completion_create_params.CompletionCreateParamsBase,
    "embeddings": embedding_create_params.EmbeddingCreateParams,
    "transcriptions": transcription_create_params.TranscriptionCreateParamsBase,
    "translations": translation_create_params.TranslationCreateParams,
    "speech": speech_create_params.SpeechCreateParams,
    "image_generations": image_generate_params.ImageGenerateParamsBase,
    "image_edits": image_edit_params.ImageEditParamsBase,
    "image_variations": image_create_variation_params.ImageCreateVariationParams,
    "moderations": moderation_create_params.ModerationCreateParams,
}


def shape(path: str) -> str:
    """A path with its variable parts alike, however they are written."""
    return re.sub(r"<[^>]*>|\{[^}]*\}", "*", "/" + path.lstrip("/"))


def filled(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "none", path)


def example(route) -> dict:
    """The arguments of an ordinary request: the model, and all parameters that are required."""
    if route.body is None:
        return {}
    given = {
        name: {"model": "fast"}.get(name) or route.body.properties[name].get("examples", [None])[0]
        for name in dict.fromkeys(["model", *route.body.required])
        if name in route.body.properties
    }
    if route.body.media_type != FORM:
        return {"json": {name: {} if value is None else value for name, value in given.items()}}
    files = {name: ("a.wav", b"RIFF" + bytes(64)) for name, value in given.items() if value is None}
    return {"data": {name: value for name, value in given.items() if value is not None}, "files": files}


def test_described_routes_are_the_routes_of_the_gateway():
    assert {shape(str(pattern.pattern)) for pattern in urlpatterns} == {shape(route.path) for route in ROUTES}


def test_every_endpoint_of_the_registry_is_described():
    assert {route.name for route in ROUTES if route.capability} == set(ENDPOINTS)


@pytest.mark.parametrize("base", BASES)
def test_described_methods_are_the_methods_of_each_route(site, base):
    for path, methods in description()["paths"].items():
        refused = site.client.put(site.gateway.url + base + filled(path))
        envelope(refused, 405, "method_not_allowed")
        allowed = {method.strip().lower() for method in refused.headers["allow"].split(",")}
        assert allowed - {"head"} == set(methods), path
        assert ("head" in allowed) == ("get" in methods), path


@EACH_ROUTE
def test_each_route_requires_the_described_scope(site, route):
    others = factories.scopes_without(route.scope)
    address, request = site.base_url + filled(route.path), example(route)
    without = {"authorization": f"Bearer {factories.key(site.world.tenant, [site.world.fast], others).plain}"}
    refused = PLAIN.request(route.method, address, headers=without, **request)
    if not route.scope:
        assert PLAIN.request(route.method, address).status_code not in (401, 403)
        return
    assert f"'{route.scope}'" in envelope(refused, 403, "insufficient_scope")["message"]
    envelope(PLAIN.request(route.method, address, **request), 401, "invalid_api_key")
    with_it = {
        "authorization": f"Bearer {factories.key(site.world.tenant, [site.world.fast], [route.scope]).plain}"
    }
    # Without a header that it needs it goes no further than to say so.
    reached = (400,) if site.headers(route) else (200, 404)
    assert PLAIN.request(route.method, address, headers=with_it, **request).status_code in reached


@EACH_ROUTE
def test_each_required_parameter_is_enforced(site, route):
    for name in route.body.required if route.body else ():
        request = example(route)
        for part in request.values():
            part.pop(name, None)
        if "files" in request and not request["files"]:
            request["files"] = {"unnamed": b""}
        response = site.client.request(route.method, site.path(route), headers=site.headers(route), **request)
        error = envelope(response, 400)
        assert (error["code"], error["param"]) == ("missing_required_parameter", name)


@EACH_ROUTE
def test_parameter_examples_match_their_schemas(route):
    document = description()
    for name, schema in (route.body.properties if route.body else {}).items():
        validator = jsonschema.Draft202012Validator({**schema, "components": document["components"]})
        for given in schema.get("examples", ()):
            assert list(validator.iter_errors(given)) == [], name


@pytest.mark.parametrize("name", SDK)
def test_every_parameter_of_the_official_sdk_is_described(name):
    route = next(route for route in ROUTES if route.name == name)
    known = {field for kind in [SDK[name], *getattr(SDK[name], "__orig_bases__", ())]
             for field in getattr(kind, "__annotations__", {})}  # fmt: skip
    assert known
    assert known - route.body.properties.keys() == set()


def test_every_scope_and_treatment_is_known():
    for route in ROUTES:
        assert not route.scope or route.scope in factories.SCOPES
        for schema in route.body.properties.values() if route.body else ():
            assert schema["x-gt"] in TREATMENTS
            assert schema.get("description") or "$ref" in schema


def test_description_is_valid_openapi():
    schemathesis.openapi.from_dict(description()).validate()
    for schema in description()["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_reference_resolves_and_every_schema_is_used():
    document = description()
    text = str(document)
    named = set(re.findall(r"#/components/schemas/(\w+)", text))
    assert named == set(document["components"]["schemas"])


def test_operation_ids_are_unique():
    operations = [route.operation for route in ROUTES]
    assert len(operations) == len(set(operations))
    assert len({request_name(route) for route in ROUTES}) == len(ROUTES)


def test_description_is_public(site):
    anybody = PLAIN.get(f"{site.base_url}/openapi.json")
    assert anybody.status_code == 200
    assert anybody.headers["content-type"] == "application/json"
    assert anybody.json() == description()
    for base in BASES:
        address = f"{site.gateway.url}{base}/openapi.json"
        for headers in (
            site.world.authorization,
            {"host": "other.example.com"},
            {"authorization": "Bearer x"},
        ):
            assert PLAIN.get(address, headers=headers).content == anybody.content


def test_both_forms_of_the_base_url_are_servers(site):
    assert [server["url"] for server in description()["servers"]] == list(BASES)


def test_route_pages_are_up_to_date():
    folder = CHECKOUT / "docs" / "routes"
    written = {path.name: path.read_text() for path in folder.glob("*")}
    assert written == pages(), "run `manage.py openapi --docs`"
