"""Invalid requests: status and OpenAI error envelope."""

import openai
import pytest

CHAT = "gemma-3-270m"
HELLO = [{"role": "user", "content": "Hello"}]


def assert_envelope(response, status, code, param=None):
    assert response.status_code == status
    assert response.headers["content-type"].startswith("application/json")
    assert set(response.json()) == {"error"}
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["type"] == "invalid_request_error"
    assert (error["code"], error["param"]) == (code, param)


PATHS = [
    *("/v1/chat/completions", "/v1/completions", "/v1/embeddings"),
    *("/v1/audio/speech", "/v1/images/generations", "/v1/moderations", "/v1/rerank"),
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1]", b'"text"', b"\xff\xfe", b'{"a":' * 5000, b'{"a":"\\ud800"}']
)
def test_body_that_is_not_a_json_object_is_400(http, path, body):
    assert_envelope(http.post(path, content=body), 400, "invalid_json")


@pytest.mark.parametrize("path", PATHS)
def test_unknown_model_is_404(http, path):
    assert_envelope(http.post(path, json={}), 400, "missing_required_parameter", "model")
    assert_envelope(http.post(path, json={"model": "other"}), 404, "model_not_found", "model")
    wrong = "nano-e5" if "completions" in path else CHAT
    assert_envelope(http.post(path, json={"model": wrong}), 404, "model_not_found", "model")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": "Hello"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["Hello"]}, "messages[0]"),
        ({"messages": [{"role": "robot", "content": "Hello"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "Hello"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"n": 100}, "n"),
        ({"seed": "x"}, "seed"),
        ({"stop": 7}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": True}, "stream_options"),
        ({"logprobs": 1}, "logprobs"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": []}}, "response_format"),
        ({"tool_choice": "required"}, "tool_choice"),
    ],
)
def test_invalid_value_is_400_with_its_name(http, fields, param):
    response = http.post("/v1/chat/completions", json={"model": CHAT, "messages": HELLO, **fields})
    assert_envelope(response, 400, "invalid_value", param)


@pytest.mark.parametrize("prompt", [None, "", [], ["a", "b"], [1, 2], 5])
def test_prompt_must_be_a_single_string(http, prompt):
    response = http.post("/v1/completions", json={"model": CHAT, "prompt": prompt})
    assert_envelope(response, 400, "invalid_value", "prompt")


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ],
)
def test_image_and_audio_parts_are_400(http, part):
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, part]}]
    response = http.post("/v1/chat/completions", json={"model": CHAT, "messages": messages})
    assert_envelope(response, 400, "invalid_value", "messages[0].content")


@pytest.mark.parametrize("stream", [False, True])
def test_conversation_above_the_context_length_is_400(http, client, stream):
    long = [{"role": "user", "content": "word " * 5000}]
    body = {"model": CHAT, "messages": long, "stream": stream}
    assert_envelope(http.post("/v1/chat/completions", json=body), 400, "context_length_exceeded", "messages")
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=CHAT, messages=long)
    assert refused.value.code == "context_length_exceeded"


def test_unknown_fields_are_ignored(http):
    extra = {"user": "me", "metadata": {"a": "b"}, "verbosity": "low", "service_tier": "auto", "tools": []}
    body = {"model": CHAT, "messages": HELLO, "max_tokens": 2, **extra}
    assert http.post("/v1/chat/completions", json=body).status_code == 200


def test_unknown_routes_are_404_and_methods_405(http):
    assert_envelope(http.get("/v1/nothing"), 404, "unknown_url")
    assert_envelope(http.get("/v1/models/nothing"), 404, "model_not_found", "model")
    assert_envelope(http.get("/v1/chat/completions"), 405, "method_not_allowed")
    assert_envelope(http.delete("/v1/models"), 405, "method_not_allowed")


def test_body_above_the_limit_is_413(http):
    response = http.post("/v1/chat/completions", content=b" " * (33 * 2**20))
    assert_envelope(response, 413, "request_too_large")


def test_models_are_listed(client):
    assert {CHAT, "nano-e5"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve(CHAT).object == "model"
