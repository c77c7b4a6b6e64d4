"""Checks of LangChain's OpenAI integration."""

import base64
import time
from typing import Any

import openai
from harness import check, main, raised, took
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from pydantic import BaseModel


class City(BaseModel):
    """A city."""

    name: str
    people: int


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def chat(facts: Any, model: str = "chat", **options: Any) -> ChatOpenAI:
    given = {"api_key": facts.api_key, "max_retries": 0, "timeout": 30, **options}
    return ChatOpenAI(base_url=facts.base_url, model=model, **given)


def embeddings(facts: Any, **options: Any) -> OpenAIEmbeddings:
    return OpenAIEmbeddings(
        base_url=facts.base_url, api_key=facts.api_key, model="embedder", max_retries=0, **options
    )


@check("chat")
async def invoke_batch_and_async(facts):
    llm = chat(facts)
    answer = llm.invoke([SystemMessage("Be brief."), HumanMessage("Hello")])
    assert answer.text == "You said: Hello"
    assert answer.usage_metadata["total_tokens"] == 18
    assert answer.response_metadata["model_name"] == "chat"
    assert [one.text for one in llm.batch(["a", "b"])] == ["You said: a", "You said: b"]
    assert (await llm.ainvoke("c")).text == "You said: c"


@check("chat")
def picture_in_a_message(facts):
    picture = {"type": "image", "base64": base64.b64encode(b"\x89PNG").decode(), "mime_type": "image/png"}
    content = [{"type": "text", "text": "What is this?"}, picture]
    assert chat(facts).invoke([HumanMessage(content=content)]).text.startswith("You said: What is this?")


@check("chat stream")
async def stream_and_async_stream(facts):
    llm = chat(facts, stream_usage=True)
    whole = None
    for chunk in llm.stream("Hello"):
        whole = chunk if whole is None else whole + chunk
    assert whole.text == "You said: Hello"
    assert whole.usage_metadata["total_tokens"] == 18
    assert "".join([chunk.text async for chunk in llm.astream("Hello")]) == "You said: Hello"


@check("tools")
def loop_with_two_calls_in_parallel(facts):
    llm = chat(facts).bind_tools([weather])
    messages: list[Any] = [HumanMessage("The weather in both cities?")]
    answer = llm.invoke(messages)
    assert [call["args"]["city"] for call in answer.tool_calls] == ["Bonn", "Köln"]
    messages += [answer, *(weather.invoke(call) for call in answer.tool_calls)]
    assert isinstance(messages[-1], ToolMessage)
    assert llm.invoke(messages).text == "It is sunny in Bonn."


@check("tools")
def streamed_calls(facts):
    whole = None
    for chunk in chat(facts).bind_tools([weather], tool_choice="weather").stream("Both cities?"):
        whole = chunk if whole is None else whole + chunk
    assert [call["args"]["city"] for call in whole.tool_calls] == ["Bonn"]


@check("structured")
def every_method(facts):
    for method in ("json_schema", "function_calling", "json_mode"):
        llm = chat(facts).with_structured_output(City, method=method)
        assert llm.invoke("A city, as JSON") == City(name="Bonn", people=335000), method


@check("embeddings")
async def as_it_is_by_default_with_token_ids(facts):
    embedder = embeddings(facts)
    vectors = embedder.embed_documents(["Hello", "Good evening"])
    assert [len(vector) for vector in vectors] == [8, 8]
    assert len(embedder.embed_query("Hello")) == 8
    assert len(await embedder.aembed_query("Hello")) == 8


@check("embeddings")
def with_texts_and_dimensions(facts):
    embedder = embeddings(facts, check_embedding_ctx_length=False, dimensions=4)
    assert [vector[0] for vector in embedder.embed_documents(["a", "bb"])] == [1, 2]
    assert len(embedder.embed_query("Hello")) == 4


@check("completions")
def whole_and_streamed(facts):
    llm = OpenAI(base_url=facts.base_url, api_key=facts.api_key, model="chat", max_retries=0)
    assert llm.invoke("Once") == "Once upon a time."
    assert "".join(llm.stream("Once")) == "Once upon a time."


@check("errors")
def classes_of_the_sdk(facts):
    cases = [
        ({"api_key": "gtak_wrong"}, "chat", openai.AuthenticationError, "invalid_api_key"),
        ({"api_key": facts.limited_key}, "chat", openai.PermissionDeniedError, "insufficient_scope"),
        ({}, "unknown-model", openai.NotFoundError, "model_not_found"),
        ({}, "limited", openai.RateLimitError, "rate_limit_exceeded"),
        ({}, "failing", openai.InternalServerError, "upstream_error"),
        ({}, "too-long", openai.BadRequestError, "context_length_exceeded"),
    ]
    for options, model, kind, code in cases:
        error = raised(kind, chat(facts, model, **options).invoke, "Hello")
        assert error.code == code, error.body


@check("errors")
def input_that_is_too_long_as_its_own_class(facts):
    raised(ContextOverflowError, chat(facts, "too-long").invoke, "Hello")


@check("errors")
def stream_that_breaks(facts):
    for model in ("breaking-stream", "cut-stream"):
        error = raised(openai.APIError, lambda model=model: list(chat(facts, model).stream("Hello")))
        assert error.code == "upstream_error"


@check("retries")
def waits_for_retry_after(facts):
    llm = chat(facts, "flaky", max_retries=2)
    answer, seconds = took(lambda: llm.invoke(f"langchain {time.monotonic_ns()}"))
    assert answer.text.startswith("You said: langchain")
    assert 1.9 < seconds < 10, seconds


@check("timeouts")
def its_own_and_ours(facts):
    _, seconds = took(
        lambda: raised(openai.APITimeoutError, chat(facts, "slow", timeout=0.5).invoke, "Hello")
    )
    assert seconds < 3, seconds
    error = raised(openai.InternalServerError, chat(facts, "stuck").invoke, "Hello")
    assert (error.status_code, error.code) == (504, "upstream_timeout")


if __name__ == "__main__":
    main()
