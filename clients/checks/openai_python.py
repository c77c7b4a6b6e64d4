"""Checks of OpenAI's Python SDK, both major versions. Its chat checks are also part of `make test`."""

import asyncio
import base64
import sys
import time
from pathlib import Path
from typing import Any

from harness import check, main, raised, raised_async, took

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "e2e"))

import openai
import openai_python_data  # noqa: F401 - registers its checks
import sdk_checks
from openai import AsyncOpenAI
from openai_python_client import client, lenient
from pydantic import BaseModel

USER = [{"role": "user", "content": "Hello"}]
WAV = ("hello.wav", b"RIFF" + bytes(20000), "audio/wav")
PNG = ("cat.png", b"\x89PNG\r\n\x1a\n" + bytes(100), "image/png")
SAID = "The quick brown fox."

#: The route of each shared check; the others belong to "chat".
SHARED = {
    "models_list": "models",
    "model_with_a_slash": "models",
    "unknown_model": "errors",
    "stream": "chat stream",
    "stream_with_usage": "chat stream",
    "stream_helper": "chat stream",
    "stream_left_early": "chat stream",
    "tools": "tools",
    "streamed_tools": "tools",
    "structured_output": "structured",
    "wrong_key": "errors",
    "missing_scope": "errors",
    "bad_parameter": "errors",
    "unknown_route": "errors",
    "provider_failed": "errors",
    "provider_limits": "errors",
    "stream_that_breaks_is_an_error": "errors",
    "embeddings": "embeddings",
    "moderations": "moderations",
    "legacy_completions": "completions",
    "transcriptions": "transcriptions",
    "speech": "speech",
    "speech_that_breaks_is_an_error": "speech",
    "images": "images",
    "what_a_model_cannot_do": "errors",
    "conversations": "conversations",
    "chats_in_a_conversation": "conversations",
    "files": "files",
    "vector_stores": "vector stores",
}


def shared(function: Any) -> Any:
    def run(facts: Any) -> None:
        with client(facts) as sdk:
            function(sdk, **vars(facts))

    return run


for _name, _function in sdk_checks.CHECKS.items():
    check(SHARED.get(_name, "chat"), name=_name.replace("_", " "))(shared(_function))


class City(BaseModel):
    name: str
    people: int


class Weather(BaseModel):
    """The weather in a city."""

    city: str


@check("chat")
async def many_at_once(facts):
    async with client(facts, AsyncOpenAI) as sdk:
        asked = [[{"role": "user", "content": f"number {n}"}] for n in range(50)]
        answers = await asyncio.gather(
            *(sdk.chat.completions.create(model="chat", messages=messages) for messages in asked)
        )
    said = [answer.choices[0].message.content for answer in answers]
    assert said == [f"You said: number {n}" for n in range(50)]


@check("chat stream")
async def async_stream_helper(facts):
    async with (
        client(facts, AsyncOpenAI) as sdk,
        sdk.chat.completions.stream(model="chat", messages=USER) as stream,
    ):
        deltas = [event.delta async for event in stream if event.type == "content.delta"]
        final = await stream.get_final_completion()
    assert "".join(deltas) == final.choices[0].message.content == "You said: Hello"


@check("chat stream")
def raw_streamed_lines(facts):
    with (
        client(facts) as sdk,
        sdk.chat.completions.with_streaming_response.create(model="chat", messages=USER, stream=True) as raw,
    ):
        lines = [line for line in raw.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"


@check("tools")
def loop_with_pydantic_tools_in_parallel(facts):
    tools = [openai.pydantic_function_tool(Weather)]
    messages: list[Any] = [{"role": "user", "content": "The weather in both cities?"}]
    with client(facts) as sdk:
        answer = sdk.chat.completions.parse(model="chat", messages=messages, tools=tools)
        message = answer.choices[0].message
        assert [call.function.parsed_arguments.city for call in message.tool_calls] == ["Bonn", "Köln"]
        messages.append(message)
        messages += [{"role": "tool", "tool_call_id": c.id, "content": "sunny"} for c in message.tool_calls]
        assert (
            sdk.chat.completions.create(model="chat", messages=messages, tools=tools)
            .choices[0]
            .message.content.startswith("It is sunny")
        )


@check("structured")
def parse_whole_and_streamed(facts):
    with client(facts) as sdk:
        whole = sdk.chat.completions.parse(model="chat", messages=USER, response_format=City)
        with sdk.chat.completions.stream(model="chat", messages=USER, response_format=City) as stream:
            streamed = stream.get_final_completion()
    for answer in (whole, streamed):
        assert answer.choices[0].message.parsed == City(name="Bonn", people=335000)


@check("embeddings")
def every_kind_of_input(facts):
    with lenient(facts) as sdk:
        for given, count in (("Hello", 1), (["a", "b"], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2)):
            answer = sdk.embeddings.create(model="embedder", input=given)
            assert [item.index for item in answer.data] == list(range(count))
            assert answer.model == "embedder"
            assert answer.usage.total_tokens == 3 * count


@check("embeddings")
def formats_and_dimensions_agree(facts):
    with lenient(facts) as sdk:
        default = sdk.embeddings.create(model="embedder", input="Hello", dimensions=4).data[0].embedding
        floats = sdk.embeddings.create(model="embedder", input="Hello", dimensions=4, encoding_format="float")
        packed = sdk.embeddings.create(
            model="embedder", input="Hello", dimensions=4, encoding_format="base64"
        )
    assert len(default) == 4
    assert all(abs(a - b) < 1e-6 for a, b in zip(default, floats.data[0].embedding, strict=True))
    assert len(base64.b64decode(packed.data[0].embedding)) == 16


@check("embeddings", name="async")
async def embeddings_async(facts):
    async with lenient(facts, AsyncOpenAI) as sdk:
        assert len((await sdk.embeddings.create(model="embedder", input="Hello")).data[0].embedding) == 8


@check("completions")
def whole_and_streamed(facts):
    with lenient(facts) as sdk:
        whole = sdk.completions.create(model="chat", prompt="Once")
        chunks = list(sdk.completions.create(model="chat", prompt="Once", stream=True))
    assert whole.object == "text_completion"
    assert whole.choices[0].text == "".join(c.choices[0].text for c in chunks) == "Once upon a time."
    assert whole.usage.total_tokens == 18


@check("transcriptions")
def every_format(facts):
    with client(facts) as sdk:
        transcribe = sdk.audio.transcriptions.create
        assert transcribe(model="transcriber", file=WAV).text == SAID
        assert transcribe(model="transcriber", file=WAV, response_format="text").strip() == SAID
        assert transcribe(model="transcriber", file=WAV, response_format="srt").startswith("1\n00:00")
        assert transcribe(model="transcriber", file=WAV, response_format="vtt").startswith("WEBVTT")
        verbose = transcribe(
            model="transcriber",
            file=WAV,
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )
    assert (verbose.duration, verbose.language) == (1.5, "english")
    assert verbose.segments[0].text == SAID
    assert verbose.words[0].word == "The"


@check("transcriptions", name="events, sync and async")
async def transcription_events(facts):
    with client(facts) as sdk:
        found = list(sdk.audio.transcriptions.create(model="transcriber", file=WAV, stream=True))
    assert "".join(event.delta for event in found[:-1]) == found[-1].text == SAID
    async with client(facts, AsyncOpenAI) as sdk:
        stream = await sdk.audio.transcriptions.create(model="transcriber", file=WAV, stream=True)
        assert [event.type async for event in stream] == [event.type for event in found]


@check("transcriptions")
def upload_from_disk_with_options(facts):
    path = Path(facts.folder) / "hello.wav"
    path.write_bytes(WAV[1])
    with client(facts) as sdk:
        options = {"language": "en", "prompt": "Foxes", "temperature": 0.2, "include": ["logprobs"]}
        assert sdk.audio.transcriptions.create(model="transcriber", file=path, **options).text == SAID


@check("translations")
def translation(facts):
    with client(facts) as sdk:
        assert sdk.audio.translations.create(model="transcriber", file=WAV).text == SAID
        verbose = sdk.audio.translations.create(model="transcriber", file=WAV, response_format="verbose_json")
        assert verbose.segments[0].text == SAID


@check("speech")
def bytes_and_a_streamed_file(facts):
    path = Path(facts.folder) / "hello.mp3"
    asked = {"model": "speaker", "input": "Hello", "voice": "alloy"}
    with client(facts) as sdk:
        whole = sdk.audio.speech.create(**asked)
        with sdk.audio.speech.with_streaming_response.create(
            **asked, response_format="wav", speed=1.5
        ) as stream:
            assert stream.headers["content-type"] == "audio/wav"
            stream.stream_to_file(path)
    assert len(whole.content) == path.stat().st_size == 8000
    assert whole.response.headers["content-type"] == "audio/mpeg"


@check("speech", name="async")
async def speech_async(facts):
    async with client(facts, AsyncOpenAI) as sdk:
        answer = await sdk.audio.speech.create(model="speaker", input="Hello", voice="alloy")
        assert len(await answer.aread()) == 8000


@check("images")
def generation(facts):
    with client(facts) as sdk:
        made = sdk.images.generate(
            model="painter", prompt="A cat", n=2, size="256x256", response_format="b64_json"
        )
        linked = sdk.images.generate(model="painter", prompt="A cat", response_format="url")
    assert len(made.data) == 2
    assert base64.b64decode(made.data[0].b64_json).startswith(b"\x89PNG")
    assert linked.data[0].url.startswith(facts.url)
    assert linked.data[0].b64_json is None


@check("images")
def streamed_generation_and_edit(facts):
    with client(facts) as sdk:
        asked = {"model": "painter", "prompt": "A cat", "stream": True, "partial_images": 1}
        made = list(sdk.images.generate(**asked))
        edited = list(sdk.images.edit(**asked, image=PNG))
    assert [event.type for event in made] == ["image_generation.partial_image", "image_generation.completed"]
    assert [event.type for event in edited] == ["image_edit.partial_image", "image_edit.completed"]
    assert made[-1].usage.total_tokens == 8


@check("images")
def edits_and_variation(facts):
    with client(facts) as sdk:
        assert sdk.images.edit(model="painter", prompt="A hat", image=PNG, mask=PNG).data[0].b64_json
        assert sdk.images.edit(model="painter", prompt="A hat", image=[PNG, PNG]).data[0].b64_json
        assert len(sdk.images.create_variation(model="painter", image=PNG, n=2).data) == 2


@check("moderations")
def texts_and_parts(facts):
    with client(facts) as sdk:
        assert (
            sdk.moderations.create(model="moderator", input="I will kill you").results[0].categories.violence
        )
        two = sdk.moderations.create(model="moderator", input=["Hello", "I will kill you"])
        parts = [{"type": "text", "text": "Hello"}]
        one = sdk.moderations.create(model="moderator", input=parts)
    assert [result.flagged for result in two.results] == [False, True]
    assert one.results[0].flagged is False


@check("errors")
def other_statuses(facts):
    with client(facts) as sdk:
        error = raised(openai.BadRequestError, sdk.chat.completions.create, model="too-long", messages=USER)
        assert (error.code, error.param) == ("context_length_exceeded", "messages")
        error = raised(openai.BadRequestError, sdk.embeddings.create, model="chat", input="Hello")
        assert error.code == "unsupported_model"
        error = raised(
            openai.BadRequestError, sdk.audio.speech.create, model="speaker", input="", voice="alloy"
        )
        assert error.param == "input"
        error = raised(
            openai.BadRequestError, sdk.audio.transcriptions.create, model="transcriber", file=("a.wav", b"")
        )
        assert error.param == "file"
        error = raised(openai.NotFoundError, sdk.beta.assistants.list)
        assert error.code == "unknown_url"


@check("retries")
def sync_waits_for_retry_after(facts):
    messages = [{"role": "user", "content": f"sync {time.monotonic_ns()}"}]
    with client(facts, max_retries=2) as sdk:
        answer, seconds = took(lambda: sdk.chat.completions.create(model="flaky", messages=messages))
    assert answer.choices[0].message.content.startswith("You said: sync")
    assert 1.9 < seconds < 10, seconds


@check("retries")
async def async_stream_waits_for_retry_after(facts):
    messages = [{"role": "user", "content": f"async {time.monotonic_ns()}"}]
    start = time.monotonic()
    async with client(facts, AsyncOpenAI, max_retries=1) as sdk:
        stream = await sdk.chat.completions.create(model="flaky", messages=messages, stream=True)
        said = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert said.startswith("You said: async")
    assert 1.9 < time.monotonic() - start < 10


@check("retries")
def tries_again_after_a_502(facts):
    messages = [{"role": "user", "content": f"server {time.monotonic_ns()}"}]
    with client(facts, max_retries=1) as sdk:
        assert sdk.chat.completions.create(model="flaky-server", messages=messages).choices


@check("timeouts")
async def its_own(facts):
    with client(facts, timeout=0.5) as sdk:
        _, seconds = took(
            lambda: raised(openai.APITimeoutError, sdk.chat.completions.create, model="slow", messages=USER)
        )
    assert seconds < 3, seconds
    async with client(facts, AsyncOpenAI) as sdk:
        call = sdk.with_options(timeout=0.5).chat.completions.create(model="slow", messages=USER)
        await raised_async(openai.APITimeoutError, call)


@check("timeouts")
def ours_is_a_504(facts):
    with client(facts) as sdk:
        for stream in (False, True):
            error = raised(
                openai.InternalServerError,
                sdk.chat.completions.create,
                model="stuck",
                messages=USER,
                stream=stream,
            )
            assert (error.status_code, error.code) == (504, "upstream_timeout")


if __name__ == "__main__":
    main()
