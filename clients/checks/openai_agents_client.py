"""Checks of OpenAI's Agents SDK in chat mode, without tracing."""

import time
from typing import Any

import openai
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    Runner,
    function_tool,
    handoff,
    set_default_openai_api,
    set_default_openai_client,
    set_tracing_disabled,
)
from harness import check, main, raised_async
from openai import AsyncOpenAI
from pydantic import BaseModel

set_tracing_disabled(disabled=True)


class City(BaseModel):
    name: str
    people: int


def model(facts: Any, name: str = "chat", **options: Any) -> OpenAIChatCompletionsModel:
    given = {"api_key": facts.api_key, "max_retries": 0, "timeout": 30, **options}
    return OpenAIChatCompletionsModel(name, AsyncOpenAI(base_url=facts.base_url, **given))


def agent(facts: Any, name: str = "chat", **options: Any) -> Agent:
    return Agent(name="Robin", instructions="Be brief.", **{"model": model(facts, name), **options})


def weather_tool(cities: list[str]) -> Any:
    @function_tool
    def weather(city: str) -> str:
        """The weather in a city."""
        cities.append(city)
        return "sunny"

    return weather


@check("chat")
async def one_answer_and_the_next(facts):
    robin = agent(facts)
    first = await Runner.run(robin, "Hello")
    assert first.final_output == "You said: Hello"
    assert first.raw_responses[0].usage.total_tokens == 18
    second = await Runner.run(robin, [*first.to_input_list(), {"role": "user", "content": "Again"}])
    assert second.final_output == "You said: Again"


@check("chat")
async def with_the_client_as_its_default(facts):
    set_default_openai_client(
        AsyncOpenAI(base_url=facts.base_url, api_key=facts.api_key), use_for_tracing=False
    )
    set_default_openai_api("chat_completions")
    assert (await Runner.run(agent(facts, model="chat"), "Hello")).final_output == "You said: Hello"


async def streamed(robin: Agent, words: str) -> tuple[str, Any]:
    """Return the streamed text and the result."""
    result = Runner.run_streamed(robin, words)
    said = ""
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            said += event.data.delta
    return said, result


@check("chat stream")
async def run_streamed(facts):
    said, result = await streamed(agent(facts, model_settings=ModelSettings(include_usage=True)), "Hello")
    assert said == result.final_output == "You said: Hello"
    assert result.raw_responses[0].usage.total_tokens == 18


@check("tools")
async def loop_with_two_calls_in_parallel(facts):
    cities: list[str] = []
    result = await Runner.run(agent(facts, tools=[weather_tool(cities)]), "The weather in both cities?")
    assert result.final_output == "It is sunny in Bonn."
    assert sorted(cities) == ["Bonn", "Köln"]


@check("tools")
async def streamed_loop(facts):
    cities: list[str] = []
    said, result = await streamed(agent(facts, tools=[weather_tool(cities)]), "The weather in both cities?")
    assert said == result.final_output == "It is sunny in Bonn."
    assert sorted(cities) == ["Bonn", "Köln"]


@check("tools")
async def handoff_to_another_agent(facts):
    other = Agent(name="Kim", instructions="Be brief.", model=model(facts))
    result = await Runner.run(agent(facts, handoffs=[handoff(other)]), "Hello")
    assert result.last_agent is other
    assert result.final_output == "It is sunny in Bonn."


@check("structured")
async def output_type_whole_and_streamed(facts):
    robin = agent(facts, output_type=City)
    assert (await Runner.run(robin, "A city")).final_output == City(name="Bonn", people=335000)
    _, result = await streamed(robin, "A city")
    assert result.final_output == City(name="Bonn", people=335000)


@check("errors")
async def classes_of_the_sdk(facts):
    cases = [
        ({"api_key": "gtak_wrong"}, "chat", openai.AuthenticationError, "invalid_api_key"),
        ({"api_key": facts.limited_key}, "chat", openai.PermissionDeniedError, "insufficient_scope"),
        ({}, "unknown-model", openai.NotFoundError, "model_not_found"),
        ({}, "too-long", openai.BadRequestError, "context_length_exceeded"),
        ({}, "limited", openai.RateLimitError, "rate_limit_exceeded"),
        ({}, "failing", openai.InternalServerError, "upstream_error"),
    ]
    for options, name, kind, code in cases:
        robin = agent(facts, model=model(facts, name, **options))
        error = await raised_async(kind, Runner.run(robin, "Hello"))
        assert error.code == code, error.body


@check("errors")
async def stream_that_breaks(facts):
    for name in ("breaking-stream", "cut-stream"):
        error = await raised_async(openai.APIError, streamed(agent(facts, name), "Hello"))
        assert error.code == "upstream_error"


@check("errors", name="its mode for the Responses API: a JSON 404")
async def responses_mode(facts):
    set_default_openai_client(
        AsyncOpenAI(base_url=facts.base_url, api_key=facts.api_key), use_for_tracing=False
    )
    set_default_openai_api("responses")
    error = await raised_async(openai.NotFoundError, Runner.run(agent(facts, model="chat"), "Hello"))
    assert error.code == "unknown_url", error.body


@check("retries")
async def waits_for_retry_after(facts):
    start = time.monotonic()
    robin = agent(facts, model=model(facts, "flaky", max_retries=2))
    result = await Runner.run(robin, f"agents {time.monotonic_ns()}")
    assert result.final_output.startswith("You said: agents")
    assert 1.9 < time.monotonic() - start < 10


@check("timeouts")
async def its_own_and_ours(facts):
    start = time.monotonic()
    robin = agent(facts, model=model(facts, "slow", timeout=0.5))
    await raised_async(openai.APITimeoutError, Runner.run(robin, "Hello"))
    assert time.monotonic() - start < 3
    error = await raised_async(openai.InternalServerError, Runner.run(agent(facts, "stuck"), "Hello"))
    assert error.status_code == 504


if __name__ == "__main__":
    main()
