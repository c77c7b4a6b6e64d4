"""Checks of Pydantic AI with its chat completions model."""

import time
from typing import Any

from harness import check, main, raised, raised_async
from openai import APITimeoutError, AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, BinaryImage, Embedder, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.images import ImageGenerator
from pydantic_ai.images.openai import OpenAIImageGenerationModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


class City(BaseModel):
    """A city."""

    name: str
    people: int


def provider(facts: Any, **options: Any) -> OpenAIProvider:
    given = {"api_key": facts.api_key, "max_retries": 0, "timeout": 30, **options}
    return OpenAIProvider(openai_client=AsyncOpenAI(base_url=facts.base_url, **given))


def model(facts: Any, name: str = "chat", **options: Any) -> OpenAIChatModel:
    return OpenAIChatModel(name, provider=provider(facts, **options))


@check("chat")
async def one_answer_and_a_conversation(facts):
    agent = Agent(model(facts), instructions="Be brief.")
    first = await agent.run("Hello")
    assert first.output == "You said: Hello"
    assert first.usage.total_tokens == 18
    second = await agent.run("Again", message_history=first.all_messages())
    assert second.output == "You said: Again"


@check("chat")
async def by_address_and_key_alone(facts):
    named = OpenAIChatModel("chat", provider=OpenAIProvider(base_url=facts.base_url, api_key=facts.api_key))
    assert (await Agent(named).run("Hello")).output == "You said: Hello"


@check("chat")
async def picture_in_a_message(facts):
    picture = BinaryContent(data=b"\x89PNG", media_type="image/png")
    answer = await Agent(model(facts)).run(["What is this?", picture])
    assert answer.output.startswith("You said: What is this?")


@check("chat stream")
async def streamed_text(facts):
    async with Agent(model(facts)).run_stream("Hello") as stream:
        parts = [part async for part in stream.stream_text(delta=True)]
    assert "".join(parts) == "You said: Hello"
    assert stream.usage.total_tokens == 18


def with_weather(facts: Any, cities: list[str], **options: Any) -> Agent:
    agent = Agent(model(facts), **options)

    @agent.tool_plain
    def weather(city: str) -> str:
        """The weather in a city."""
        cities.append(city)
        return "sunny"

    return agent


@check("tools")
async def loop_with_two_calls_in_parallel(facts):
    cities: list[str] = []
    answer = await with_weather(facts, cities).run("The weather in both cities?")
    assert answer.output == "It is sunny in Bonn."
    assert sorted(cities) == ["Bonn", "Köln"]


@check("tools")
async def streamed_loop(facts):
    cities: list[str] = []
    async with with_weather(facts, cities).run_stream("The weather in both cities?") as stream:
        assert await stream.get_output() == "It is sunny in Bonn."
    assert sorted(cities) == ["Bonn", "Köln"]


@check("structured")
async def by_a_tool_a_schema_and_a_prompt(facts):
    for output in (City, ToolOutput(City), NativeOutput(City)):
        answer = await Agent(model(facts), output_type=output).run("A city")
        assert answer.output == City(name="Bonn", people=335000), output


@check("structured")
async def by_a_prompt(facts):
    answer = await Agent(model(facts), output_type=PromptedOutput(City)).run("A city")
    assert answer.output == City(name="Bonn", people=335000)


@check("structured")
async def after_a_tool(facts):
    cities: list[str] = []
    answer = await with_weather(facts, cities, output_type=City).run("The weather?")
    assert answer.output == City(name="Bonn", people=335000)
    assert cities == ["Bonn"]


@check("structured")
async def streamed(facts):
    async with Agent(model(facts), output_type=City).run_stream("A city") as stream:
        assert await stream.get_output() == City(name="Bonn", people=335000)


@check("embeddings")
async def one_and_many(facts):
    embedder = Embedder(OpenAIEmbeddingModel("embedder", provider=provider(facts)))
    assert len((await embedder.embed_query("Hello")).embeddings[0]) == 8
    found = await embedder.embed_documents(["a", "bb"], settings={"dimensions": 4})
    assert [vector[0] for vector in found.embeddings] == [1, 2]


@check("images")
async def generation(facts):
    generator = ImageGenerator(OpenAIImageGenerationModel("painter", provider=provider(facts)))
    made = await generator.generate("A cat")
    assert made.images[0].content.data.startswith(b"\x89PNG")


@check("images")
async def edit(facts):
    generator = ImageGenerator(OpenAIImageGenerationModel("painter", provider=provider(facts)))
    picture = BinaryImage(data=b"\x89PNG\r\n\x1a\n" + bytes(100), media_type="image/png")
    made = await generator.generate("A hat", images=[picture])
    assert made.images[0].content.data.startswith(b"\x89PNG")


@check("errors")
async def statuses_and_bodies(facts):
    cases = [
        ({"api_key": "gtak_wrong"}, "chat", 401, "invalid_api_key"),
        ({"api_key": facts.limited_key}, "chat", 403, "insufficient_scope"),
        ({}, "unknown-model", 404, "model_not_found"),
        ({}, "too-long", 400, "context_length_exceeded"),
        ({}, "limited", 429, "rate_limit_exceeded"),
        ({}, "failing", 502, "upstream_error"),
    ]
    for options, name, status, code in cases:
        error = await raised_async(ModelHTTPError, Agent(model(facts, name, **options)).run("Hello"))
        assert error.status_code == status, error
        assert error.body["code"] == code, error.body


@check("errors")
async def stream_that_breaks(facts):
    async def read(name: str) -> None:
        async with Agent(model(facts, name)).run_stream("Hello") as stream:
            async for _ in stream.stream_text(delta=True):
                pass

    for name in ("breaking-stream", "cut-stream"):
        error = await raised_async(Exception, read(name))
        assert "could not answer" in str(error), error


@check("retries")
async def waits_for_retry_after(facts):
    start = time.monotonic()
    answer = await Agent(model(facts, "flaky", max_retries=2)).run(f"pydantic {time.monotonic_ns()}")
    assert answer.output.startswith("You said: pydantic")
    assert 1.9 < time.monotonic() - start < 10


@check("timeouts")
async def its_own(facts):
    start = time.monotonic()
    error = await raised_async(ModelAPIError, Agent(model(facts, "slow", timeout=0.5)).run("Hello"))
    assert isinstance(error.__cause__, APITimeoutError), repr(error.__cause__)
    assert time.monotonic() - start < 3


@check("timeouts")
async def ours_is_a_504(facts):
    error = await raised_async(ModelHTTPError, Agent(model(facts, "stuck")).run("Hello"))
    assert error.status_code == 504


@check("chat", name="sync")
def sync(facts):
    assert Agent(model(facts)).run_sync("Hello").output == "You said: Hello"
    assert raised(ModelHTTPError, Agent(model(facts, "unknown-model")).run_sync, "Hello").status_code == 404


if __name__ == "__main__":
    main()
