"""Reranking by the similarity of the local embedding model's vectors."""

import pytest

RERANKER = "nano-e5-rerank"
QUERY = "how do I reset my password"
DOCUMENTS = [
    "Bananas are yellow fruit.",
    "To change your login credentials, open the account settings.",
    "The capital of France is Paris.",
]


def rerank(http, **fields):
    return http.post("/v1/rerank", json={"model": RERANKER, "query": QUERY, "documents": DOCUMENTS, **fields})


def test_most_relevant_document_comes_first(http):
    response = rerank(http).json()
    assert response["model"] == RERANKER
    assert response["id"].startswith("rerank-")
    assert response["results"][0]["index"] == 1
    assert sorted(result["index"] for result in response["results"]) == [0, 1, 2]
    scores = [result["relevance_score"] for result in response["results"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert all("document" not in result for result in response["results"])
    assert response["usage"]["total_tokens"] > 0


def test_top_n_limits_the_results(http):
    assert [result["index"] for result in rerank(http, top_n=1).json()["results"]] == [1]
    assert len(rerank(http, top_n=10).json()["results"]) == 3


def test_documents_are_returned_on_request(http):
    [result] = rerank(http, top_n=1, return_documents=True).json()["results"]
    assert result["document"] == {"text": DOCUMENTS[1]}


def test_documents_may_be_objects_with_a_text(http):
    objects = [{"text": document} for document in DOCUMENTS]
    assert rerank(http, documents=objects).json()["results"] == rerank(http).json()["results"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"query": None}, "query"),
        ({"query": " "}, "query"),
        ({"query": "a" * 32_001}, "query"),
        ({"documents": None}, "documents"),
        ({"documents": []}, "documents"),
        ({"documents": "one"}, "documents"),
        ({"documents": ["a"] * 1025}, "documents"),
        ({"documents": ["a", ""]}, "documents[1]"),
        ({"documents": [{"title": "a"}]}, "documents[0]"),
        ({"top_n": 0}, "top_n"),
        ({"return_documents": "yes"}, "return_documents"),
    ],
)
def test_invalid_field_is_400_with_its_name(http, fields, param):
    response = rerank(http, **fields)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_document_above_the_context_length_is_400(http):
    response = rerank(http, documents=["word " * 10_000])
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"
    assert response.json()["error"]["param"] == "documents"
