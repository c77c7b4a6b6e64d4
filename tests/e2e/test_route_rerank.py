"""Rerank: documents of the client sorted by relevance, and validation of the provider's ranking."""

import pytest

from tests import canaries, factories
from tests.answers import answer
from tests.e2e.media import reranked
from tests.wire import BASES, PLAIN, envelope

DOCUMENTS = ["Bananas are yellow.", {"text": "Open the account settings.", "title": "Help"}, "Paris"]
TEXTS = ["Bananas are yellow.", "Open the account settings.", "Paris"]


def ask(http, **more):
    body = {"model": "fast", "query": "reset my password", "documents": DOCUMENTS, **more}
    return http.post("/rerank", json=body)


def ranking(response) -> list[tuple[int, float]]:
    return [(result["index"], result["relevance_score"]) for result in response.json()["results"]]


@pytest.mark.parametrize("base", BASES)
def test_most_relevant_document_comes_first(upstream, gateway, studio, base):
    upstream.script(studio.raw, answer(reranked((0, 0.1), (1, 0.9), (2, -3))))
    body = {"model": "fast", "query": "reset my password", "documents": DOCUMENTS, "user": "ann"}
    response = PLAIN.post(f"{gateway.url}{base}/rerank", json=body, headers=studio.authorization)
    assert response.status_code == 200
    assert ranking(response) == [(1, 0.9), (0, 0.1), (2, -3)]
    got = response.json()
    assert got.keys() == {"id", "model", "results", "usage"}
    assert all(result.keys() == {"index", "relevance_score"} for result in got["results"])
    assert got["id"].startswith("rerank-")
    assert got["id"] != "rerank-upstream"
    assert got["model"] == "fast"
    received = upstream.last(studio.raw)
    assert received.path == "/v1/rerank"
    assert received.json == {
        "model": studio.raw,
        "query": "reset my password",
        "documents": TEXTS,
        "user": "ann",
    }


def test_the_sdk_can_call_it(upstream, studio, sdk):
    upstream.script(studio.raw, answer(reranked((0, 0.5))))
    body = {"model": "fast", "query": "Hello", "documents": ["Good day"]}
    got = sdk.post("/rerank", body=body, cast_to=object)
    assert got["results"] == [{"index": 0, "relevance_score": 0.5}]


@pytest.mark.parametrize(
    "sent", [[(1, 0.9), (2, 0.5)], [(2, 0.5), (1, 0.9), (0, 0.1)]], ids=["kept", "ignored"]
)
def test_top_n_is_kept_to_whether_the_provider_knows_it_or_not(upstream, studio, studio_http, sent):
    upstream.script(studio.raw, answer(reranked(*sent)))
    assert ranking(ask(studio_http, top_n=2)) == [(1, 0.9), (2, 0.5)]
    assert upstream.last(studio.raw).json["top_n"] == 2


def test_top_n_may_be_greater_than_the_number_of_documents(upstream, studio, studio_http):
    upstream.script(studio.raw, answer(reranked((0, 0.3), (1, 0.2), (2, 0.1))))
    assert len(ranking(ask(studio_http, top_n=10))) == 3


def test_documents_come_from_the_request(upstream, studio, studio_http):
    whole = reranked((1, 0.9), (0, 0.5), (2, 0.1))
    for result in whole["results"]:
        result["document"] = {"text": "what the provider made of it"}
    upstream.script(studio.raw, answer(whole))
    results = ask(studio_http, return_documents=True).json()["results"]
    assert [result["document"] for result in results] == [{"text": TEXTS[index]} for index in (1, 0, 2)]
    assert "return_documents" not in upstream.last(studio.raw).json
    for more in ({}, {"return_documents": False}, {"return_documents": None}):
        assert "document" not in ask(studio_http, **more).json()["results"][0]


def _results(*results):
    return {"results": list(results)}


GOOD = {"index": 1, "relevance_score": 0.5}


@pytest.mark.parametrize(
    "whole",
    [
        {},
        {"data": [GOOD]},
        {"results": None},
        {"results": {"0": GOOD}},
        _results(),
        _results(GOOD),
        _results(GOOD, GOOD),
        _results(GOOD, None),
        _results(GOOD, "text"),
        _results(GOOD, {"relevance_score": 0.5}),
        _results(GOOD, {"index": 0}),
        _results(GOOD, {"index": 2, "relevance_score": 0.5}),
        _results(GOOD, {"index": -1, "relevance_score": 0.5}),
        _results(GOOD, {"index": False, "relevance_score": 0.5}),
        _results(GOOD, {"index": "0", "relevance_score": 0.5}),
        _results(GOOD, {"index": 0, "relevance_score": None}),
        _results(GOOD, {"index": 0, "relevance_score": "0.5"}),
        _results(GOOD, {"index": 0, "relevance_score": True}),
        _results(GOOD, {"index": 0, "relevance_score": float("inf")}),
        _results(GOOD, {"index": 0, "relevance_score": 0.5}, GOOD),
    ],
    ids=str,
)
def test_not_one_result_for_each_document_is_a_failure(upstream, studio, studio_http, whole):
    upstream.script(studio.raw, answer(whole))
    envelope(ask(studio_http, documents=["one", "two"]), 502, "upstream_error")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"query": None}, "query"),
        ({"query": ""}, "query"),
        ({"query": 5}, "query"),
        ({"query": ["Hello"]}, "query"),
        ({"documents": None}, "documents"),
        ({"documents": []}, "documents"),
        ({"documents": "one"}, "documents"),
        ({"documents": {"text": "one"}}, "documents"),
        ({"documents": ["x"] * 2049}, "documents"),
        ({"documents": ["one", ""]}, "documents[1]"),
        ({"documents": ["one", 5]}, "documents[1]"),
        ({"documents": [None]}, "documents[0]"),
        ({"documents": [["one"]]}, "documents[0]"),
        ({"documents": [{"title": "one"}]}, "documents[0].text"),
        ({"documents": [{"text": ""}]}, "documents[0].text"),
        ({"documents": [{"text": 5}]}, "documents[0].text"),
        ({"top_n": 0}, "top_n"),
        ({"top_n": "1"}, "top_n"),
        ({"top_n": True}, "top_n"),
        ({"return_documents": "yes"}, "return_documents"),
        ({"user": 5}, "user"),
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_invalid_parameter_is_named(upstream, studio, studio_http, body, param):
    upstream.script(studio.raw)
    assert envelope(ask(studio_http, **body), 400)["param"] == param
    assert upstream.received(studio.raw) == []


def test_unknown_model_and_other_tenants_key_are_refused_alike(upstream, gateway, studio, studio_http):
    upstream.script(studio.raw)
    unknown = envelope(ask(studio_http, model="nothing"), 404, "model_not_found")
    assert unknown["param"] == "model"
    stranger = factories.key(factories.world(upstream.base_url).tenant, [])
    body = {"model": "fast", "query": "Hello", "documents": ["Good day"]}
    headers = {"authorization": f"Bearer {stranger.plain}"}
    refused = PLAIN.post(f"{gateway.base_url}/rerank", json=body, headers=headers)
    assert envelope(refused, 404, "model_not_found")["message"] == unknown["message"].replace(
        "nothing", "fast"
    )
    assert upstream.received(studio.raw) == []


def test_key_without_the_scope_is_refused(upstream, gateway, studio):
    upstream.script(studio.raw)
    key = factories.key(studio.tenant, [studio.fast], factories.scopes_without("inference:rerank"))
    body = {"model": "fast", "query": "Hello", "documents": ["Good day"]}
    headers = {"authorization": f"Bearer {key.plain}"}
    refused = PLAIN.post(f"{gateway.base_url}/rerank", json=body, headers=headers)
    assert "inference:rerank" in envelope(refused, 403, "insufficient_scope")["message"]
    assert upstream.received(studio.raw) == []


def test_nothing_of_the_provider_is_in_the_response(upstream, studio, studio_http):
    whole = reranked((0, 0.5), **canaries.unknown("top"))
    whole |= {"id": canaries.canary("id"), "model": canaries.RAW_MODEL, "meta": canaries.unknown("meta")}
    whole["results"][0] |= {"document": {"text": canaries.canary("text")}, **canaries.unknown("result")}
    whole["usage"] |= canaries.unknown("usage")
    upstream.script(studio.raw, answer(whole, headers=canaries.headers()))
    response = ask(studio_http, documents=["one"], return_documents=True)
    assert response.status_code == 200
    assert canaries.found(str(response.headers), response.content) == []
    assert studio.raw not in response.text


@pytest.mark.parametrize(
    ("usage", "prompt", "total"),
    [
        ({"total_tokens": 12}, 12, 12),
        ({"prompt_tokens": 7}, 7, 7),
        ({"prompt_tokens": 7, "total_tokens": 9}, 7, 9),
        ({"prompt_tokens": None, "total_tokens": 9}, 9, 9),
    ],
    ids=str,
)
def test_tokens_are_metered_as_reported(upstream, studio, studio_http, record, usage, prompt, total):
    upstream.script(studio.raw, answer(reranked((0, 0.5), usage=usage)))
    response = ask(studio_http, documents=["one"])
    assert response.json()["usage"] == {"prompt_tokens": prompt, "total_tokens": total}
    row = record(response.headers["x-request-id"])
    assert (row.route, row.model, row.raw_model) == ("/rerank", "fast", studio.raw)
    assert (row.input_tokens, row.output_tokens, row.estimated) == (prompt, 0, False)


@pytest.mark.parametrize("usage", [None, {}, {"total_tokens": 0}, {"total_tokens": "12"}, [12]], ids=str)
def test_tokens_that_were_not_reported_are_estimated(upstream, studio, studio_http, record, usage):
    upstream.script(studio.raw, answer(reranked((0, 0.5), (1, 0.4), usage=usage)))
    response = ask(studio_http, query="Hello there", documents=["Hello", {"text": "Hello"}])
    # The query is read with each document.
    assert response.json()["usage"] == {"prompt_tokens": 6, "total_tokens": 6}
    row = record(response.headers["x-request-id"])
    assert (row.input_tokens, row.output_tokens, row.estimated) == (6, 0, True)
