"""Embeddings by the model on this machine."""

import base64
import struct

import openai
import pytest

EMBEDDER = "nano-e5"


def vectors(client, *texts, **parameters):
    answer = client.embeddings.create(model=EMBEDDER, input=list(texts), **parameters)
    return [item.embedding for item in answer.data]


def likeness(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("sides", [("query", "passage"), (None, None)])
def test_texts_that_mean_the_same_are_near_each_other(client, sides):
    question, answers = ({"extra_body": {"input_type": side}} if side else {} for side in sides)
    [query] = vectors(client, "how do I reset my password", **question)
    near, *far = vectors(
        client,
        "To change your login credentials, open the account settings.",
        "The capital of France is Paris.",
        "Bananas are yellow fruit.",
        **answers,
    )
    assert all(likeness(query, near) > likeness(query, other) for other in far)


def test_vectors_have_384_numbers_and_length_one(client):
    [vector] = vectors(client, "Hello", dimensions=384)
    assert len(vector) == 384
    assert likeness(vector, vector) == pytest.approx(1, abs=1e-4)


def test_each_text_keeps_its_place(client):
    texts = [f"text number {number}" for number in range(10)]
    together = vectors(client, *texts)
    assert likeness(together[7], vectors(client, texts[7])[0]) == pytest.approx(1, abs=1e-3)
    assert likeness(together[7], together[2]) < 0.9999


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


def test_text_after_a_nul_byte_counts(client):
    one, other = vectors(client, "fruit\0bananas", "fruit\0railways")
    assert likeness(one, other) < 0.999


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
def test_bad_input_is_refused_and_named(http, body, param):
    answer = http.post("/v1/embeddings", json={"model": EMBEDDER, **body})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_token_ids_are_refused_in_words(http):
    answer = http.post("/v1/embeddings", json={"model": EMBEDDER, "input": [1, 2, 3]})
    assert "token ids" in answer.json()["error"]["message"]


def test_a_text_that_is_too_long_is_refused(client):
    with pytest.raises(openai.BadRequestError) as refused:
        vectors(client, "word " * 10_000)
    assert refused.value.code == "context_length_exceeded"
