"""Moderations: every category there, and no silence taken for innocence."""

import pytest

from tests import factories
from tests.answers import answer
from tests.e2e.media import moderated
from tests.wire import PLAIN, envelope

PARTS = [
    {"type": "text", "text": "Hello"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}},
]


def ask(http, **more):
    return http.post("/moderations", json={"model": "fast", "input": "Hello", **more})


@pytest.mark.parametrize(
    ("given", "results"),
    [("Hello", 1), (["Hello"], 1), (["Hello", "there"], 2), (PARTS, 1)],
    ids=["text", "list", "texts", "parts"],
)
def test_the_sdk_gets_every_category(upstream, studio, sdk, given, results):
    upstream.script(studio.raw, answer({"id": "modr-upstream", "results": [moderated(True)] * results}))
    got = sdk.moderations.create(model="fast", input=given)
    assert got.id.startswith("modr-")
    assert got.id != "modr-upstream"
    assert got.model == "fast"
    assert len(got.results) == results
    result = got.results[0]
    assert result.flagged
    assert result.categories.violence
    assert not result.categories.self_harm_intent
    assert result.category_scores.violence == 0.9
    assert result.category_scores.sexual_minors == 0
    assert result.category_applied_input_types.violence == ["text", "image"]
    assert result.category_applied_input_types.hate == ["text"]
    assert upstream.last(studio.raw).json["input"] == given


@pytest.mark.parametrize(
    "results",
    [
        [],
        [{}],
        [None],
        [{"flagged": True}],
        [{"flagged": False, "categories": None}],
        [{"flagged": False, "categories": []}],
        [moderated(), moderated()],
    ],
    ids=str,
)
def test_result_without_categories_is_an_error(upstream, studio, studio_http, results):
    upstream.script(studio.raw, answer({"results": results}))
    envelope(ask(studio_http), 502, "upstream_error")


def test_one_result_for_two_texts_is_a_failure(upstream, studio, studio_http):
    upstream.script(studio.raw, answer({"results": [moderated()]}))
    envelope(ask(studio_http, input=["one", "two"]), 502, "upstream_error")


def test_what_has_no_flag_is_flagged_by_its_categories(upstream, studio, studio_http):
    for flagged in (True, False):
        upstream.script(studio.raw, answer({"results": [moderated(flagged) | {"flagged": None}]}))
        assert ask(studio_http).json()["results"][0]["flagged"] is flagged


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["Hello", 5]}, "input"),
        ({"model": 5}, "model"),
    ],
    ids=str,
)
def test_a_bad_parameter_is_named(upstream, studio, studio_http, body, param):
    upstream.script(studio.raw)
    error = envelope(ask(studio_http, **body), 400)
    assert error["param"].partition("[")[0] == param
    assert upstream.received(studio.raw) == []


def test_default_model_is_the_only_moderation_model(upstream, gateway):
    world = factories.world(upstream.base_url, capabilities=("moderate", "chat"))
    second = factories.catalog(world.provider, "second", capabilities=["moderate"])
    upstream.script(world.raw, answer({"results": [moderated()]}))

    def ask_without(*allowed):
        headers = {"authorization": f"Bearer {factories.key(world.tenant, allowed).plain}"}
        return PLAIN.post(f"{gateway.base_url}/moderations", json={"input": "Hello"}, headers=headers)

    # The agent can chat and nothing else, so it is not a candidate.
    assert ask_without(world.fast, world.support).json()["model"] == "fast"
    for allowed in ((), (world.support,), (world.fast, second)):
        assert envelope(ask_without(*allowed), 400, "missing_required_parameter")["param"] == "model"


@pytest.mark.parametrize("reported", [True, False])
def test_tokens_are_metered(upstream, studio, studio_http, record, reported):
    more = {"usage": {"prompt_tokens": 7, "total_tokens": 7}} if reported else {}
    upstream.script(studio.raw, answer({"results": [moderated()], **more}))
    response = ask(studio_http, input="Hello there")
    assert "usage" not in response.json()
    row = record(response.headers["x-request-id"])
    assert (row.route, row.input_tokens, row.estimated) == (
        "/moderations",
        7 if reported else 2,
        not reported,
    )
