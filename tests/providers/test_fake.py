"""The fake provider: the same response each time, and options in its raw model id."""

import json
from typing import Any

import pytest

from gtapi.errors import BadRequest, UpstreamFailed
from inference.endpoints import ENDPOINTS
from inference.providers.base import ProviderConnection, Timeouts
from inference.providers.fake import Fake
from inference.providers.fake.schemas import example

FAKE = Fake()
CONNECTION = ProviderConnection("main", "fake", "", "", {}, Timeouts())
MESSAGES = [{"role": "user", "content": "What is new?"}]
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "days": {"type": "array", "items": {"$ref": "#/$defs/day"}},
    },
    "$defs": {"day": {"type": ["integer", "null"], "minimum": 3}},
}


@pytest.fixture(scope="session", autouse=True)
def database() -> None:
    """No database: the provider needs none."""


async def ask(model: str = "fake-chat", operation: str = "chat", **body: Any) -> Any:
    return await FAKE.fetch_json(CONNECTION, operation, {"model": model, "messages": MESSAGES, **body}, body)


async def content(model: str = "fake-chat", **body: Any) -> str:
    return (await ask(model, **body))["choices"][0]["message"]["content"]


def test_it_serves_every_endpoint():
    assert ENDPOINTS.keys() == FAKE.operations


async def test_response_repeats_the_last_user_message():
    assert await content() == "This is a fake response to: What is new?"
    assert await ask() == await ask()


async def test_reply_and_limits_are_honoured():
    assert await content("fake-chat?reply=One+two+three") == "One two three"
    response = await ask("fake-chat?reply=One+two+three", max_tokens=2, n=2)
    assert [c["message"]["content"] for c in response["choices"]] == ["One two"] * 2
    assert {c["finish_reason"] for c in response["choices"]} == {"length"}
    assert await content("fake-chat?reply=One+two+three", stop=["two"]) == "One "


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
async def test_forced_tool_is_called_with_arguments_of_its_schema(choice):
    tools = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
    (first,) = (await ask(tools=tools, tool_choice=choice))["choices"]
    (call,) = first["message"]["tool_calls"]
    assert first["finish_reason"] == "tool_calls"
    assert call["function"]["name"] == "weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "text", "unit": "celsius", "days": [3]}
    assert (await ask(tools=tools))["choices"][0]["finish_reason"] == "stop"


async def test_response_format_gets_json():
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    assert json.loads(await content(response_format=form))["unit"] == "celsius"
    assert json.loads(await content(response_format={"type": "json_object"}))["response"]


def test_schema_that_contains_itself_ends():
    schema = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert "next" in example(schema)


async def test_texts_that_share_words_have_similar_vectors():
    texts = ["The office opens at nine.", "When does the office open?", "Bananas are yellow."]
    response = await ask("fake-embed?dimensions=64", "embeddings", input=texts)
    office, question, bananas = (item["embedding"] for item in response["data"])
    assert len(office) == 64
    assert sum(number * number for number in office) == pytest.approx(1)

    def similarity(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert similarity(office, question) > similarity(office, bananas)


async def test_documents_that_share_words_with_the_query_come_first():
    documents = ["Bananas are yellow.", "The office opens at nine.", "Closed"]
    request = {"query": "When does the office open?", "documents": documents}
    whole, again = [await ask("fake-rerank", "rerank", **request) for _ in range(2)]
    assert whole == again
    assert whole["results"][0]["index"] == 1
    assert len(whole["results"]) == 3
    first = await ask("fake-rerank", "rerank", **request, top_n=1)
    assert first["results"] == whole["results"][:1]


@pytest.mark.parametrize("options", ["dely=1", "delay=soon", "error=200", "dimensions=0"])
async def test_invalid_option_is_a_502_that_tells_the_operator(options):
    with pytest.raises(UpstreamFailed) as caught:
        await ask(f"fake-chat?{options}")
    assert options.partition("=")[0] in caught.value.detail


async def test_speech_has_mp3_and_refuses_other_formats():
    async def pieces(form: str) -> bytes:
        body = {"model": "fake-speech", "input": "Hello", "voice": "x", "response_format": form}
        return b"".join([p async for p in FAKE.stream_bytes(CONNECTION, "speech", body, body)])

    assert (await pieces("mp3")).startswith(b"\xff\xf3")
    with pytest.raises(BadRequest) as caught:
        await pieces("opus")
    assert caught.value.param == "response_format"
