"""The recipe "Add an endpoint" of CONTRIBUTING.md, performed on a copy of the code."""

import json

import pytest

from tests.recipes.checkout import add_after, copy_code, error_of, run

VIEW = '''"""``POST /shouts``: a text in capitals, from a model that embeds."""

from gtapi.web.responses import JSONResponse
from gtapi.json_types import JSON
from inference.edge import Edge
from inference.endpoints import ENDPOINTS
from inference.exchange import Exchange
from inference.provider_request import json_request
from inference.views import InferenceView


class ShoutsEdge(Edge):
    def validate(self, exchange: Exchange) -> None: ...

    def provider_request(self, exchange: Exchange) -> JSON:
        return json_request(exchange.target, exchange.body)

    async def build(self, exchange: Exchange, response: JSON) -> JSONResponse:
        return JSONResponse({"text": str(response["text"]).upper()})


class ShoutsView(InferenceView):
    endpoint = ENDPOINTS["shouts"]
    edge = ShoutsEdge()
'''
DESCRIPTION = """
endpoint: shouts
operation: createShout
tag: Embeddings
title: Shout
about: Returns a text in capitals.
body: {required: [model], properties: {model: {x-gt: honoured, type: string, description: A model.}}}
answers: {application/json: {type: object}}
examples: {curl: curl}
"""
ROW_BEFORE = "_ENDPOINTS = (\n"
ROW = '    Endpoint("shouts", "/shouts", "inference:embed", "embed", "ShoutsView"),\n'
LOOK = """
import json
import django
django.setup()
from django.urls import resolve
from inference.endpoints import ENDPOINTS
from inference.openapi.assembly import description
from inference.openapi.markdown import pages
from inference.policy import decide
from inference.routing import Target
from tenants.authentication import KeyFacts
from types import SimpleNamespace

target = Target(1, "m", "catalog", 0, frozenset({"embed"}), "", operations=frozenset({"shouts"}))
key = SimpleNamespace(scopes={"inference:embed"}, refusal_reason=lambda: "")
print(json.dumps({
    "views": [resolve(f"/api/tenant{v}/shouts").func.cls.__name__ for v in ("", "/v1")],
    "operation": description()["paths"]["/shouts"]["post"]["operationId"],
    "page": "shouts.md" in pages(),
    "callable": [e.path for e in ENDPOINTS.values() if decide(key, {1}, target, e).allowed],
}))
"""


@pytest.fixture
def copy(tmp_path):
    """A copy of the code with the new endpoint's folder and row."""
    copy_code(tmp_path)
    folder = tmp_path / "inference/endpoints/shouts"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "view.py").write_text(VIEW)
    (folder / "shouts.yaml").write_text(DESCRIPTION)
    add_after(tmp_path / "inference/endpoints/__init__.py", ROW_BEFORE, ROW)
    return tmp_path


def test_new_endpoint_is_one_folder_and_one_row(copy):
    assert json.loads(run(copy, "-c", LOOK)) == {
        "views": ["ShoutsView", "ShoutsView"],
        "operation": "createShout",
        "page": True,
        "callable": ["/shouts"],
    }


def test_misspelt_scope_fails_at_import(copy):
    registry = copy / "inference/endpoints/__init__.py"
    registry.write_text(
        registry.read_text().replace('"/shouts", "inference:embed"', '"/shouts", "inference:embde"')
    )
    error = error_of(copy, "-c", "import django; django.setup(); import inference.api_urls")
    assert "ShoutsView names unknown scopes: inference:embde" in error
