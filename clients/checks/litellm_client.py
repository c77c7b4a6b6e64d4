"""Checks of LiteLLM as a client, with the provider `openai` and a custom base URL."""

import time
from typing import Any

import litellm
from harness import check, main, raised, raised_async, took
from pydantic import BaseModel

litellm.telemetry = False
USER = [{"role": "user", "content": "Hello"}]
SAID = "The quick brown fox."
WAV = ("hello.wav", b"RIFF" + bytes(20000), "audio/wav")
PIXELS = b"\x89PNG\r\n\x1a\n" + bytes(100)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": CITY}}


class City(BaseModel):
    name: str
    people: int


def where(facts: Any, model: str = "chat", **more: Any) -> dict[str, Any]:
    return {"model": f"openai/{model}", "api_base": facts.base_url, "api_key": facts.api_key, **more}


def chat(facts: Any, model: str = "chat", **more: Any) -> Any:
    return litellm.completion(
        **where(facts, model, **{"messages": USER, "num_retries": 0, "max_retries": 0, **more})
    )


@check("models", theirs="it requests /v1/models at the root of the host and drops the path of the base URL")
def valid_models(facts):
    names = litellm.get_valid_models(
        check_provider_endpoint=True,
        custom_llm_provider="openai",
        api_key=facts.api_key,
        api_base=facts.base_url,
    )
    assert {"chat", "embedder"} <= {name.removeprefix("openai/") for name in names}, names


@check("chat")
async def completion_and_async(facts):
    answer = chat(facts)
    assert answer.choices[0].message.content == "You said: Hello"
    assert answer.usage.total_tokens == 18
    assert answer._hidden_params["additional_headers"]["llm_provider-x-request-id"].startswith("req_")
    later = await litellm.acompletion(**where(facts, messages=USER))
    assert later.choices[0].message.content == "You said: Hello"


@check("chat stream")
async def stream_and_async_stream(facts):
    chunks = list(chat(facts, stream=True, stream_options={"include_usage": True}))
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        == "You said: Hello"
    )
    assert litellm.stream_chunk_builder(chunks).usage.total_tokens == 18
    stream = await litellm.acompletion(**where(facts, messages=USER, stream=True))
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "You said: Hello"


@check("tools")
def calls_in_parallel_whole_and_streamed(facts):
    messages: list[Any] = [{"role": "user", "content": "The weather in both cities?"}]
    message = chat(facts, messages=messages, tools=[WEATHER]).choices[0].message
    assert [call.function.arguments for call in message.tool_calls] == [
        '{"city": "Bonn"}',
        '{"city": "Köln"}',
    ]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in message.tool_calls]
    last = chat(facts, messages=[*messages, message, *results], tools=[WEATHER])
    assert last.choices[0].message.content == "It is sunny in Bonn."
    chunks = list(chat(facts, messages=messages, tools=[WEATHER], stream=True))
    again = litellm.stream_chunk_builder(chunks).choices[0].message
    assert [call.id for call in again.tool_calls] == [call.id for call in message.tool_calls]


@check("structured")
def pydantic_model_as_response_format(facts):
    words = chat(facts, response_format=City).choices[0].message.content
    assert City.model_validate_json(words) == City(name="Bonn", people=335000)


@check("embeddings")
async def embedding_and_async(facts):
    answer = litellm.embedding(**where(facts, "embedder", input=["a", "bb"]))
    assert [item["embedding"][0] for item in answer.data] == [1, 2]
    later = await litellm.aembedding(
        **where(facts, "embedder", input="Hello", dimensions=4, allowed_openai_params=["dimensions"])
    )
    assert len(later.data[0]["embedding"]) == 4


@check("completions")
def text_completion(facts):
    asked = {**where(facts), "model": "text-completion-openai/chat", "prompt": "Once"}
    assert litellm.text_completion(**asked).choices[0].text == "Once upon a time."
    chunks = list(litellm.text_completion(**asked, stream=True))
    assert "".join(chunk.choices[0].text or "" for chunk in chunks) == "Once upon a time."


@check("transcriptions")
def transcription(facts):
    assert litellm.transcription(**where(facts, "transcriber", file=WAV)).text == SAID
    verbose = litellm.transcription(**where(facts, "transcriber", file=WAV, response_format="verbose_json"))
    assert verbose.text == SAID


@check("speech")
def speech(facts):
    answer = litellm.speech(**where(facts, "speaker", input="Hello", voice="alloy"))
    assert len(answer.content) == 8000


@check("images")
def generation_and_edit(facts):
    made = litellm.image_generation(**where(facts, "painter", prompt="A cat", n=2))
    assert len(made.data) == 2
    assert made.data[0].b64_json
    edited = litellm.image_edit(**where(facts, "painter", prompt="A hat", image=PIXELS))
    assert edited.data[0].b64_json


@check("moderations")
def moderation(facts):
    answer = litellm.moderation(
        input="I will kill you", model="moderator", api_base=facts.base_url, api_key=facts.api_key
    )
    assert answer.results[0].flagged is True


@check("errors")
def litellm_error_classes(facts):
    cases = [
        ({"api_key": "gtak_wrong"}, "chat", litellm.AuthenticationError),
        ({}, "unknown-model", litellm.NotFoundError),
        ({}, "too-long", litellm.ContextWindowExceededError),
        ({}, "limited", litellm.RateLimitError),
        ({}, "failing", litellm.BadGatewayError),
        ({"temperature": 5}, "chat", litellm.BadRequestError),
    ]
    for options, model, kind in cases:
        error = raised(Exception, chat, facts, model, **options)
        assert isinstance(error, kind), f"{model}: {type(error).__name__}: {error}"


@check(
    "errors",
    theirs="it treats every error of type `invalid_request_error` as a bad request, whatever its status",
)
def missing_scope_as_permission_denied(facts):
    error = raised(Exception, chat, facts, api_key=facts.limited_key)
    assert isinstance(error, litellm.PermissionDeniedError), f"{type(error).__name__}: {error}"


@check("errors")
def stream_that_breaks(facts):
    for model in ("breaking-stream", "cut-stream"):
        error = raised(Exception, lambda model=model: list(chat(facts, model, stream=True)))
        assert "could not answer" in str(error), error


@check("retries")
def waits_for_retry_after(facts):
    messages = [{"role": "user", "content": f"litellm {time.monotonic_ns()}"}]
    answer, seconds = took(lambda: chat(facts, "flaky", messages=messages, num_retries=2))
    assert answer.choices[0].message.content.startswith("You said: litellm")
    assert 1.9 < seconds < 15, seconds


@check("timeouts")
async def its_own_and_ours(facts):
    _, seconds = took(lambda: raised(litellm.Timeout, chat, facts, "slow", timeout=0.5))
    assert seconds < 3, seconds
    await raised_async(
        litellm.Timeout,
        litellm.acompletion(**where(facts, "slow", messages=USER, timeout=0.5, max_retries=0)),
    )
    error = raised(Exception, chat, facts, "stuck")
    assert error.status_code == 504 or isinstance(error, litellm.Timeout), repr(error)


if __name__ == "__main__":
    main()
