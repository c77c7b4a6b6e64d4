"""Embeddings: all kinds of input, both encodings whichever the provider supports, and validation of vectors."""

import struct
from base64 import b64decode

import pytest

from tests.answers import answer
from tests.e2e.media import base64_floats, embedded
from tests.wire import envelope

VECTORS = ([0.5, -0.25, 1.0], [0.0, 2.0, -3.5])
AS_BASE64 = tuple(base64_floats(*vector) for vector in VECTORS)


def ask(http, **more):
    return http.post("/embeddings", json={"model": "fast", "input": "Hello", **more})


@pytest.mark.parametrize("upstreams", [VECTORS, AS_BASE64], ids=["floats", "base64"])
@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_the_sdk_gets_vectors_whichever_way_the_provider_sends_them(
    upstream, studio, lenient, upstreams, encoding
):
    upstream.script(studio.raw, answer(embedded(*upstreams)))
    more = {"encoding_format": encoding} if encoding else {}
    got = lenient.embeddings.create(model="fast", input=["Hello", "there"], **more)
    vectors = [item.embedding for item in got.data]
    if encoding == "base64":
        vectors = [list(struct.unpack("<3f", b64decode(vector))) for vector in vectors]
    assert vectors == [list(vector) for vector in VECTORS]
    assert [(item.index, item.object) for item in got.data] == [(0, "embedding"), (1, "embedding")]
    assert (got.model, got.object) == ("fast", "list")
    assert (got.usage.prompt_tokens, got.usage.total_tokens) == (5, 5)
    assert upstream.last(studio.raw).json["encoding_format"] == (encoding or "base64")


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ("Hello", 1),
        (["Hello"], 1),
        (["Hello", "there", "you"], 3),
        ([9906, 1070], 1),
        ([[9906, 1070], [499]], 2),
    ],
    ids=str,
)
def test_every_kind_of_input_arrives_as_it_was(upstream, studio, lenient, given, count):
    upstream.script(studio.raw, answer(embedded(*[[0.5]] * count)))
    got = lenient.embeddings.create(model="fast", input=given, dimensions=1, user="ann")
    assert len(got.data) == count
    sent = upstream.last(studio.raw).json
    assert (sent["input"], sent["dimensions"], sent["user"]) == (given, 1, "ann")
    assert sent["model"] == studio.raw


def test_default_encoding_is_float(upstream, studio, studio_http):
    for vector in ([0.5], base64_floats(0.5)):
        upstream.script(studio.raw, answer(embedded(vector)))
        assert ask(studio_http).json()["data"][0]["embedding"] == [0.5]
        assert "encoding_format" not in upstream.last(studio.raw).json


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_numbers_as_large_as_they_may_be_are_numbers(upstream, studio, lenient, encoding):
    largest = struct.unpack("<f", bytes.fromhex("ffff7f7f"))[0]
    for vector in ([largest, -largest, 0.1], base64_floats(largest, -largest, 0.1)):
        upstream.script(studio.raw, answer(embedded(vector)))
        got = (
            lenient.embeddings.create(model="fast", input="Hello", encoding_format=encoding).data[0].embedding
        )
        if encoding == "base64":
            got = struct.unpack("<3f", b64decode(got))
        assert [struct.pack("<f", one) for one in got] == [
            struct.pack("<f", one) for one in (largest, -largest, 0.1)
        ]


def test_vectors_are_sorted_by_index(upstream, studio, studio_http):
    turned = embedded([2.0], [1.0])
    for index, item in zip((1, 0), turned["data"], strict=True):
        item["index"] = index
    upstream.script(studio.raw, answer(turned))
    got = ask(studio_http, input=["one", "two"]).json()["data"]
    assert [(item["index"], item["embedding"]) for item in got] == [(0, [1.0]), (1, [2.0])]


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"embedding": [0.5]}],
        [{"embedding": [0.5]}, {"embedding": []}],
        [{"embedding": [0.5]}, {"embedding": None}],
        [{"embedding": [0.5]}, {"embedding": ["x"]}],
        [{"embedding": [0.5]}, {"embedding": [[0.5]]}],
        [{"embedding": [0.5]}, {"embedding": [0.5, True]}],
        [{"embedding": [0.5]}, {"embedding": [0.5, None]}],
        [{"embedding": [0.5]}, {"embedding": base64_floats(0.5, float("inf"))}],
        [{"embedding": [0.5]}, {"embedding": base64_floats(float("nan"), 0.5)}],
        [{"embedding": [0.5]}, {"embedding": base64_floats(-float("inf"))}],
        [{"embedding": [0.5]}, {"embedding": "AAA"}],
        [{"embedding": [0.5]}, {"embedding": "AAAA"}],
        [{"embedding": [0.5]}, {"embedding": "no base64!"}],
        [{"embedding": [0.5]}, 5],
        [{"embedding": [0.5]}] * 3,
    ],
    ids=str,
)
@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_missing_vectors_are_an_error(upstream, studio, studio_http, data, encoding):
    upstream.script(studio.raw, answer({"object": "list", "data": data}))
    response = ask(studio_http, input=["one", "two"], encoding_format=encoding)
    envelope(response, 502, "upstream_error")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": {"text": "Hello"}}, "input"),
        ({"input": ["Hello", ""]}, "input"),
        ({"input": ["Hello", 5]}, "input"),
        ({"input": ["Hello", None]}, "input"),
        ({"input": [[1, "x"]]}, "input"),
        ({"input": [[]]}, "input"),
        ({"input": [1.5]}, "input"),
        ({"input": [True]}, "input"),
        ({"input": ["x"] * 2049}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "3"}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"encoding_format": 5}, "encoding_format"),
        ({"user": 5}, "user"),
        ({"model": None}, "model"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_parameter_is_named(upstream, studio, studio_http, body, param):
    upstream.script(studio.raw)
    error = envelope(ask(studio_http, **body), 400)
    assert error["param"].partition("[")[0] == param
    assert upstream.received(studio.raw) == []


def test_tokens_are_metered_as_reported(upstream, studio, studio_http, record):
    upstream.script(studio.raw, answer(embedded([0.5])))
    row = record(ask(studio_http).headers["x-request-id"])
    assert (row.route, row.model, row.raw_model) == ("/embeddings", "fast", studio.raw)
    assert (row.input_tokens, row.output_tokens, row.estimated) == (5, 0, False)


@pytest.mark.parametrize(
    ("given", "count"), [("Hello there", 2), ([[1, 2, 3], [4]], 4), (["Hello", "Hello"], 2)]
)
def test_tokens_that_were_not_reported_are_estimated(upstream, studio, studio_http, record, given, count):
    upstream.script(
        studio.raw, answer(embedded(*[[0.5]] * (2 if isinstance(given, list) else 1), usage=None))
    )
    response = ask(studio_http, input=given)
    assert response.json()["usage"] == {"prompt_tokens": count, "total_tokens": count}
    row = record(response.headers["x-request-id"])
    assert (row.input_tokens, row.estimated) == (count, True)


def test_many_vectors_arrive_whole(upstream, studio, lenient):
    upstream.script(studio.raw, answer(embedded(*[[0.001 * at] * 256 for at in range(500)])))
    got = lenient.embeddings.create(model="fast", input=["x"] * 500)
    assert [round(item.embedding[255] * 1000) for item in got.data] == list(range(500))
