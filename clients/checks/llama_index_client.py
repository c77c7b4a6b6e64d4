"""Checks of LlamaIndex with its classes for OpenAI-compatible servers."""

import time
from typing import Any

import openai
from harness import check, main, raised, took
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

HELLO = [ChatMessage(role="user", content="Hello")]


class City(BaseModel):
    """A city."""

    name: str
    people: int


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def chat(facts: Any, model: str = "chat", **options: Any) -> OpenAILike:
    given = {"api_key": facts.api_key, "max_retries": 0, "timeout": 30, "is_chat_model": True, **options}
    return OpenAILike(api_base=facts.base_url, model=model, is_function_calling_model=True, **given)


def embedder(facts: Any, **options: Any) -> OpenAILikeEmbedding:
    return OpenAILikeEmbedding(
        model_name="embedder", api_base=facts.base_url, api_key=facts.api_key, max_retries=0, **options
    )


@check("chat")
async def chat_complete_and_async(facts):
    llm = chat(facts)
    answer = llm.chat(HELLO)
    assert answer.message.content == "You said: Hello"
    assert answer.raw.usage.total_tokens == 18
    assert llm.complete("Hello").text == "You said: Hello"
    assert (await llm.achat(HELLO)).message.content == "You said: Hello"


@check("chat stream")
async def stream_and_async_stream(facts):
    llm = chat(facts)
    assert "".join(chunk.delta or "" for chunk in llm.stream_chat(HELLO)) == "You said: Hello"
    parts = [chunk.delta or "" async for chunk in await llm.astream_chat(HELLO)]
    assert "".join(parts) == "You said: Hello"


@check("tools")
def calls_whole_and_streamed(facts):
    tools = [FunctionTool.from_defaults(weather)]
    llm = chat(facts)
    answer = llm.chat_with_tools(tools, "The weather in both cities?", allow_parallel_tool_calls=True)
    calls = llm.get_tool_calls_from_response(answer)
    assert [call.tool_kwargs["city"] for call in calls] == ["Bonn", "Köln"]
    *_, last = llm.stream_chat_with_tools(tools, "The weather?")
    assert [call.tool_kwargs["city"] for call in llm.get_tool_calls_from_response(last)] == ["Bonn"]


@check("tools")
async def an_agent(facts):
    agent = FunctionAgent(tools=[weather], llm=chat(facts), system_prompt="Be brief.")
    assert str(await agent.run("The weather in both cities?")) == "It is sunny in Bonn."


@check("structured")
def by_a_tool_and_by_a_schema(facts):
    prompt = PromptTemplate("A city")
    for options in ({}, {"should_use_structured_outputs": True}):
        found = chat(facts, **options).structured_predict(City, prompt)
        assert found == City(name="Bonn", people=335000), options


@check("embeddings")
async def one_and_many(facts):
    model = embedder(facts)
    assert len(model.get_text_embedding("Hello")) == 8
    assert [vector[0] for vector in model.get_text_embedding_batch(["a", "bb"])] == [1, 2]
    assert len(await model.aget_query_embedding("Hello")) == 8
    assert len(embedder(facts, dimensions=4).get_text_embedding("Hello")) == 4


@check("embeddings")
def index_and_a_question_to_it(facts):
    documents = [Document(text="Bonn has 335000 people."), Document(text="Köln has a cathedral.")]
    index = VectorStoreIndex.from_documents(documents, embed_model=embedder(facts))
    answer = index.as_query_engine(llm=chat(facts)).query("How many people?")
    assert "Bonn has 335000 people." in str(answer)


@check("completions")
def whole_and_streamed(facts):
    llm = chat(facts, is_chat_model=False)
    assert llm.complete("Once").text == "Once upon a time."
    assert "".join(chunk.delta or "" for chunk in llm.stream_complete("Once")) == "Once upon a time."


@check("errors")
def classes_of_the_sdk(facts):
    cases = [
        ({"api_key": "gtak_wrong"}, "chat", openai.AuthenticationError, "invalid_api_key"),
        ({"api_key": facts.limited_key}, "chat", openai.PermissionDeniedError, "insufficient_scope"),
        ({}, "unknown-model", openai.NotFoundError, "model_not_found"),
        ({}, "limited", openai.RateLimitError, "rate_limit_exceeded"),
        ({}, "failing", openai.InternalServerError, "upstream_error"),
    ]
    for options, model, kind, code in cases:
        error = raised(kind, chat(facts, model, **options).chat, HELLO)
        assert error.code == code, error.body


@check("errors")
def stream_that_breaks(facts):
    for model in ("breaking-stream", "cut-stream"):
        error = raised(openai.APIError, lambda model=model: list(chat(facts, model).stream_chat(HELLO)))
        assert error.code == "upstream_error"


@check("retries")
def answers_after_a_429(facts):
    asked = [ChatMessage(role="user", content=f"llama {time.monotonic_ns()}")]
    answer, seconds = took(lambda: chat(facts, "flaky", max_retries=2).chat(asked))
    assert answer.message.content.startswith("You said: llama")
    assert 1.9 < seconds < 10, seconds


@check("timeouts")
def its_own_and_ours(facts):
    _, seconds = took(lambda: raised(openai.APITimeoutError, chat(facts, "slow", timeout=0.5).chat, HELLO))
    assert seconds < 3, seconds
    error = raised(openai.InternalServerError, chat(facts, "stuck").chat, HELLO)
    assert (error.status_code, error.code) == (504, "upstream_timeout")


if __name__ == "__main__":
    main()
