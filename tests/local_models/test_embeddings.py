"""Embeddings by the local embedding model."""

import base64
import struct

import openai
import pytest

EMBEDDER = "nano-e5"


def vectors(client, *texts, **parameters):
    response = client.embeddings.create(model=EMBEDDER, input=list(texts), **parameters)
    return [item.embedding for item in response.data]


def similarity(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("sides", [("query", "passage"), (None, None)])
def test_similar_texts_have_similar_vectors(client, sides):
    question, answers = ({"extra_body": {"input_type": side}} if side else {} for side in sides)
    [query] = vectors(client, "how do I reset my password", **question)
    near, *far = vectors(
        client,
        "To change your login credentials, open the account settings.",
        "The capital of France is Paris.",
        "Bananas are yellow fruit.",
        **answers,
    )
    assert all(similarity(query, near) > similarity(query, other) for other in far)


def test_vectors_are_unit_vectors_of_384_numbers(client):
    [vector] = vectors(client, "Hello", dimensions=384)
    assert len(vector) == 384
    assert similarity(vector, vector) == pytest.approx(1, abs=1e-4)


def test_vectors_are_in_the_order_of_the_input(client):
    texts = [f"text number {number}" for number in range(10)]
    together = vectors(client, *texts)
    assert similarity(together[7], vectors(client, texts[7])[0]) == pytest.approx(1, abs=1e-3)
    assert similarity(together[7], together[2]) < 0.9999


def test_base64_and_floats_are_the_same_numbers(http):
    def embedding(encoding):
        body = {"model": EMBEDDER, "input": "Hello", **({"encoding_format": encoding} if encoding else {})}
        return http.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]

    packed = struct.unpack("<384f", base64.b64decode(embedding("base64")))
    assert list(packed) == embedding("float") == embedding(None)


def test_usage_counts_every_text(client):
    def tokens(*texts):
        return client.embeddings.create(model=EMBEDDER, input=list(texts)).usage.prompt_tokens

    assert tokens("one two three", "four five") == tokens("one two three") + tokens("four five")
    assert tokens("one two three four five six") > tokens("one two three")


def test_text_after_a_nul_byte_is_embedded(client):
    one, other = vectors(client, "fruit\0bananas", "fruit\0railways")
    assert similarity(one, other) < 0.999


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": [1, 2, 3]}, "input"),
        ({"input": [[1, 2], [3]]}, "input"),
        ({"input": {"text": "a"}}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": "a", "dimensions": 100}, "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "input_type": ["query"]}, "input_type"),
    ],
)
def test_invalid_input_is_400_with_its_name(http, body, param):
    response = http.post("/v1/embeddings", json={"model": EMBEDDER, **body})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_token_ids_are_refused_with_an_explanation(http):
    response = http.post("/v1/embeddings", json={"model": EMBEDDER, "input": [1, 2, 3]})
    assert "token ids" in response.json()["error"]["message"]


def test_text_above_the_context_length_is_400(client):
    with pytest.raises(openai.BadRequestError) as refused:
        vectors(client, "word " * 10_000)
    assert refused.value.code == "context_length_exceeded"
