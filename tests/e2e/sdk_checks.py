"""What any program that uses the official SDK expects, as plain functions over a client.

This file knows the SDK and nothing of this project, so that the same checks run in this process, with the SDK
that is installed here, and as a separate script under another major version:

    python sdk_checks.py      # reads {"base_url", "api_key", "limited_key"}, prints {"checks": {name: fault}}

The names of the models say what the provider behind them has been told to do; see `scenarios.py`.
"""

import asyncio
import json
import sys
import traceback

import openai
from openai import AsyncOpenAI, OpenAI

USER = [{"role": "user", "content": "Hello"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
]


def raised(kind, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def check_models_list(sdk, **_):
    page = sdk.models.list()
    names = [model.id for model in page]
    assert {"whole", "org/name:tag"} <= set(names), names
    assert all(
        model.object == "model" and isinstance(model.created, int) and model.owned_by for model in page
    )
    assert page._request_id.startswith("req_")


def check_model_with_a_slash(sdk, **_):
    assert sdk.models.retrieve("org/name:tag").id == "org/name:tag"
    answer = sdk.chat.completions.create(model="org/name:tag", messages=USER)
    assert answer.model == "org/name:tag"


def check_unknown_model(sdk, **_):
    for error in (
        raised(openai.NotFoundError, sdk.models.retrieve, "nobody"),
        raised(openai.NotFoundError, sdk.chat.completions.create, model="nobody", messages=USER),
    ):
        assert error.code == "model_not_found", error.body
        assert error.type == "invalid_request_error"
        assert error.request_id.startswith("req_")
        assert "nobody" in str(error)


def check_whole_answer(sdk, **_):
    answer = sdk.chat.completions.create(model="whole", messages=USER, temperature=0.1, max_tokens=0)
    assert answer.id.startswith("chatcmpl-")
    assert answer.id != "chatcmpl-upstream-1"
    assert answer.object == "chat.completion"
    assert answer.model == "whole"
    assert answer.choices[0].message.content == "Hello there."
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
        11,
        7,
        18,
    )
    assert answer._request_id.startswith("req_")


def check_raw_headers(sdk, **_):
    response = sdk.chat.completions.with_raw_response.create(model="whole", messages=USER)
    assert response.headers["content-type"].startswith("application/json")
    assert response.headers["x-request-id"].startswith("req_")
    streamed = sdk.chat.completions.with_raw_response.create(model="stream", messages=USER, stream=True)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert streamed.headers["x-request-id"].startswith("req_")
    assert streamed.headers["cache-control"] == "no-cache"
    assert "content-length" not in streamed.headers
    assert len(list(streamed.parse())) > 2


def check_stream(sdk, **_):
    chunks = list(sdk.chat.completions.create(model="stream", messages=USER, stream=True))
    assert len({(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in chunks}) == 1
    assert chunks[0].model == "stream"
    assert chunks[0].object == "chat.completion.chunk"
    assert chunks[0].id.startswith("chatcmpl-")
    assert chunks[0].id != "chatcmpl-upstream-1"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Grüße aus 東京 🗼!"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert all(chunk.usage is None for chunk in chunks)


def check_stream_with_usage(sdk, **_):
    options = {"include_usage": True}
    chunks = list(
        sdk.chat.completions.create(model="stream", messages=USER, stream=True, stream_options=options)
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 18
    assert all(chunk.usage is None and chunk.choices for chunk in chunks[:-1])
    assert all("usage" in chunk.model_fields_set for chunk in chunks)


def check_stream_helper(sdk, **_):
    with sdk.chat.completions.stream(model="stream", messages=USER) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "content.delta" in kinds
    assert kinds[-1] == "content.done"
    assert final.choices[0].message.content == "Grüße aus 東京 🗼!"


def check_stream_left_early(sdk, **_):
    for _attempt in range(3):
        with sdk.chat.completions.create(model="slow-stream", messages=USER, stream=True) as stream:
            assert next(iter(stream)).model == "slow-stream"
    assert sdk.chat.completions.create(model="whole", messages=USER).choices


def check_async(sdk, *, base_url, api_key, **_):
    async def talk():
        async with AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0) as client:
            whole, stream = await asyncio.gather(
                client.chat.completions.create(model="whole", messages=USER),
                client.chat.completions.create(model="stream", messages=USER, stream=True),
            )
            return whole, [chunk async for chunk in stream]

    whole, chunks = asyncio.run(talk())
    assert whole.choices[0].message.content == "Hello there."
    assert chunks[-1].choices[0].finish_reason == "stop"


def check_tools(sdk, **_):
    answer = sdk.chat.completions.create(model="tools", messages=USER, tools=TOOLS, tool_choice="auto")
    calls = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls"
    assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Bonn", "Köln"]
    assert [call.function.name for call in calls] == ["weather", "weather"]
    assert len({call.id for call in calls}) == 2
    assert not any("upstream" in call.id for call in calls)
    # Clients send both halves of a call back, so each id has to be the id in the model's response.
    messages = [
        *USER,
        answer.choices[0].message.to_dict(),
        *({"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls),
    ]
    assert sdk.chat.completions.create(model="whole", messages=messages, tools=TOOLS).choices


def check_streamed_tools(sdk, **_):
    with sdk.chat.completions.stream(model="stream-tools", messages=USER, tools=TOOLS) as stream:
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert final.choices[0].finish_reason == "tool_calls"
    assert [call.function.parsed_arguments["city"] for call in calls] == ["Bonn", "Köln"]
    assert len({call.id for call in calls}) == 2
    assert not any("upstream" in call.id for call in calls)
    chunks = list(sdk.chat.completions.create(model="stream-tools", messages=USER, tools=TOOLS, stream=True))
    again = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or () if call.id]
    assert [call.id for call in again] == [call.id for call in calls]
    assert all(
        isinstance(call.index, int) for c in chunks for ch in c.choices for call in ch.delta.tool_calls or ()
    )


def check_structured_output(sdk, **_):
    from pydantic import BaseModel

    class City(BaseModel):
        name: str
        people: int

    answer = sdk.chat.completions.parse(model="structured", messages=USER, response_format=City)
    assert answer.choices[0].message.parsed == City(name="Bonn", people=335000)


def check_many_choices_and_logprobs(sdk, **_):
    answer = sdk.chat.completions.create(model="many", messages=USER, n=2, logprobs=True, top_logprobs=1)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert [choice.message.content for choice in answer.choices] == ["Hi", "Ho"]
    token = answer.choices[0].logprobs.content[0]
    assert (token.token, token.logprob, token.bytes) == ("Hi", -0.5, [72, 105])
    assert token.top_logprobs[0].token == "Hi"


def check_odd_values_are_mapped(sdk, **_):
    answer = sdk.chat.completions.create(model="odd", messages=USER)
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.service_tier in (None, "auto", "default", "flex", "scale", "priority")
    chunks = list(sdk.chat.completions.create(model="odd-stream", messages=USER, stream=True))
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")


def check_refusal_audio_and_reasoning(sdk, **_):
    message = sdk.chat.completions.create(model="rich", messages=USER).choices[0].message
    assert message.refusal == "I would rather not."
    assert message.audio.transcript == "Hi"
    assert message.audio.data == "AAAA"
    assert "upstream" not in message.audio.id
    assert message.model_extra["reasoning_content"] == "Let me think."


def check_parts(sdk, **_):
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
    ]
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": content}]
    assert sdk.chat.completions.create(model="whole", messages=messages).choices


def check_every_role(sdk, **_):
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "s"},
        {"role": "developer", "content": "d"},
        {"role": "user", "content": "u", "name": "ann"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "t"},
        {"role": "assistant", "content": "a"},
        {"role": "function", "name": "weather", "content": "f"},
    ]
    assert sdk.chat.completions.create(model="whole", messages=messages).choices


def check_citations(sdk, **_):
    message = sdk.chat.completions.create(model="guide", messages=USER).choices[0].message
    assert message.annotations[0].url_citation.title == "handbook.md"
    assert message.model_extra["citations"][0]["quote"] == "Hello is a greeting."
    with sdk.chat.completions.stream(model="stream-guide", messages=USER) as stream:
        streamed = stream.get_final_completion().choices[0].message
    assert streamed.annotations[0].url_citation.end_index == len(streamed.content)
    assert streamed.model_extra["citations"] == message.model_extra["citations"]


def check_unusual_parameters(sdk, **_):
    answer = sdk.chat.completions.create(
        model="whole",
        messages=USER,
        seed=-9007199254740991,
        stop=["\n", "END"],
        metadata={"a": "b"},
        user="u",
        logit_bias={"50256": -100},
        parallel_tool_calls=False,
        response_format={"type": "json_object"},
        verbosity="low",
        reasoning_effort="minimal",
        extra_body={"top_k": 5, "chat_template_kwargs": {"enable_thinking": False}},
    )
    assert answer.choices


SOUND = ("hello.wav", b"RIFF" + bytes(64), "audio/wav")
PICTURE = ("cat.png", b"\x89PNG\r\n\x1a\n" + bytes(64), "image/png")


def check_embeddings(sdk, *, base_url, api_key, **_):
    floats = sdk.embeddings.create(model="embed", input=["a", "b"], encoding_format="float")
    assert [item.embedding for item in floats.data] == [[0.5, -0.25], [1.0, 2.0]]
    assert (floats.model, floats.usage.total_tokens) == ("embed", 5)
    # The SDK requests base64 automatically and turns it into numbers, which its own strict check does not know.
    with OpenAI(base_url=base_url, api_key=api_key, max_retries=0) as lenient:
        turned = lenient.embeddings.create(model="embed", input=[[1], [2, 3]], dimensions=2)
    assert [item.embedding for item in turned.data] == [[0.5, -0.25], [1.0, 2.0]]


def check_moderations(sdk, **_):
    result = sdk.moderations.create(model="moderate", input="Hello").results[0]
    assert result.flagged
    assert result.categories.violence
    assert not result.categories.sexual_minors


def check_legacy_completions(sdk, *, base_url, api_key, **_):
    whole = sdk.completions.create(model="legacy", prompt="Once")
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == ("Once upon a time.", "stop")
    # An open choice has no reason to end yet, which the SDK's own strict check does not know.
    with OpenAI(base_url=base_url, api_key=api_key, max_retries=0) as lenient:
        pieces = list(lenient.completions.create(model="legacy-stream", prompt="Once", stream=True))
    assert "".join(piece.choices[0].text for piece in pieces) == "Once upon a time."
    assert pieces[-1].choices[0].finish_reason == "stop"


def check_transcriptions(sdk, **_):
    assert sdk.audio.transcriptions.create(model="hear", file=SOUND).text == "Hello there."
    text = sdk.audio.transcriptions.create(model="hear-text", file=SOUND, response_format="srt")
    assert text.startswith("1\n00:00:00,000 --> ")
    verbose = sdk.audio.transcriptions.create(
        model="hear-verbose",
        file=SOUND,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert (verbose.duration, verbose.language) == (0.5, "english")
    assert verbose.segments[0].text == "Hello there."
    assert verbose.words[0].word == "Hello"
    events = list(sdk.audio.transcriptions.create(model="hear-stream", file=SOUND, stream=True))
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == "Hello there."


def check_speech(sdk, **_):
    spoken = {"model": "speak", "voice": "alloy", "input": "Hello"}
    whole = sdk.audio.speech.create(**spoken, response_format="wav")
    assert whole.content == b"first second"
    assert whole.response.headers["content-type"] == "audio/wav"
    with sdk.audio.speech.with_streaming_response.create(**spoken) as response:
        assert b"".join(response.iter_bytes()) == b"first second"
        assert response.headers["content-type"] == "audio/mpeg"


def check_speech_that_breaks_is_an_error(sdk, **_):
    spoken = {"model": "breaking-speech", "voice": "alloy", "input": "Hello"}
    raised(Exception, sdk.audio.speech.create, **spoken)


def check_images(sdk, **_):
    image = sdk.images.generate(model="draw", prompt="A cat", n=1).data[0]
    assert image.b64_json.startswith("iVBOR")
    assert image.url is None
    address = sdk.images.generate(model="draw", prompt="A cat", response_format="url").data[0]
    assert "/images/files/" in address.url
    assert address.b64_json is None
    events = list(sdk.images.generate(model="draw-stream", prompt="A cat", stream=True, partial_images=2))
    assert [event.type.partition(".")[2] for event in events] == ["partial_image"] * 2 + ["completed"]
    assert [event.partial_image_index for event in events[:2]] == [0, 1]
    edited = sdk.images.edit(model="draw", image=[PICTURE, PICTURE], mask=PICTURE, prompt="A dog")
    assert edited.data[0].b64_json
    assert sdk.images.edit(model="draw", image=PICTURE, prompt="A dog").data[0].b64_json


def check_what_a_model_cannot_do(sdk, **_):
    error = raised(openai.BadRequestError, sdk.embeddings.create, model="only-chat", input="Hello")
    assert (error.code, error.param) == ("unsupported_model", "model")
    assert "/chat/completions" in str(error)


def check_wrong_key(sdk, *, base_url, **_):
    for key in ("gtak_wrong", "sk-proj-0123456789"):
        with OpenAI(base_url=base_url, api_key=key, max_retries=0) as other:
            error = raised(openai.AuthenticationError, other.models.list)
            assert error.code == "invalid_api_key", error.body
            assert error.request_id.startswith("req_")


def check_missing_scope(sdk, *, base_url, limited_key, **_):
    with OpenAI(base_url=base_url, api_key=limited_key, max_retries=0) as other:
        error = raised(
            openai.PermissionDeniedError, other.chat.completions.create, model="whole", messages=USER
        )
        assert error.code == "insufficient_scope", error.body
        assert "inference:chat" in str(error)


def check_bad_parameter(sdk, **_):
    error = raised(openai.BadRequestError, sdk.chat.completions.create, model="whole", messages="Hello")
    assert error.param == "messages", error.body
    assert error.type == "invalid_request_error"


def check_unknown_route(sdk, **_):
    error = raised(openai.NotFoundError, sdk.get, "/no/such/route", cast_to=object)
    assert error.code == "unknown_url", error.body


def check_provider_failed(sdk, **_):
    for stream in (False, True):
        error = raised(
            openai.InternalServerError,
            sdk.chat.completions.create,
            model="failing",
            messages=USER,
            stream=stream,
        )
        assert (error.status_code, error.code) == (502, "upstream_error"), error.body


def check_provider_limits(sdk, **_):
    error = raised(openai.RateLimitError, sdk.chat.completions.create, model="limited", messages=USER)
    assert error.response.headers["retry-after"] == "7"
    assert "provider" not in str(error).lower() or "provider's own words" not in str(error)


def check_stream_that_breaks_is_an_error(sdk, **_):
    for model in ("breaking-stream", "cut-stream"):
        stream = sdk.chat.completions.create(model=model, messages=USER, stream=True)
        seen = []
        error = raised(openai.APIError, lambda stream=stream, seen=seen: seen.extend(stream))
        assert seen, "nothing came before the fault"
        assert not isinstance(error, openai.APIStatusError)
        assert error.code == "upstream_error", error.body


def check_conversations(sdk, **_):
    made = sdk.conversations.create(
        metadata={"topic": "bikes"}, items=[{"type": "message", "role": "user", "content": "Hello"}]
    )
    assert made.id.startswith("conv_")
    assert sdk.conversations.retrieve(made.id) == made
    assert sdk.conversations.update(made.id, metadata={"topic": "cars"}).metadata == {"topic": "cars"}
    (item,) = sdk.conversations.items.list(made.id)
    assert item.content[0].text == "Hello"
    assert sdk.conversations.items.retrieve(item.id, conversation_id=made.id) == item
    assert sdk.conversations.items.delete(item.id, conversation_id=made.id).id == made.id
    assert sdk.conversations.delete(made.id).deleted
    raised(openai.NotFoundError, sdk.conversations.retrieve, made.id)


def check_chats_in_a_conversation(sdk, **_):
    thread = sdk.conversations.create().id
    go_on = {"X-GT-Conversation-Id": thread}
    sdk.chat.completions.create(model="whole", messages=USER, extra_headers=go_on)
    list(sdk.chat.completions.create(model="stream", messages=USER, stream=True, extra_headers=go_on))
    items = list(sdk.conversations.items.list(thread, order="asc", limit=3))
    assert [item.content[0].text for item in items] == [
        "Hello",
        "Hello there.",
        "Hello",
        "Grüße aus 東京 🗼!",
    ]


def check_files(sdk, **_):
    made = sdk.files.create(file=("notes.txt", b"The office opens at nine."), purpose="assistants")
    assert made.id.startswith("file-")
    assert (made.object, made.filename, made.bytes, made.purpose) == ("file", "notes.txt", 25, "assistants")
    assert sdk.files.wait_for_processing(made.id, poll_interval=0.1).status == "processed"
    assert made.id in [file.id for file in sdk.files.list(limit=1)]
    assert sdk.files.content(made.id).content == b"The office opens at nine."
    assert sdk.files.delete(made.id).deleted
    error = raised(openai.NotFoundError, sdk.files.retrieve, made.id)
    assert error.request_id.startswith("req_")


def check_vector_stores(sdk, **_):
    file = sdk.files.create(file=("notes.txt", b"The office opens at nine."), purpose="assistants")
    store = sdk.vector_stores.create(name="Notes of the office", metadata={"topic": "office"})
    assert (store.object, store.name, store.metadata) == (
        "vector_store",
        "Notes of the office",
        {"topic": "office"},
    )
    assert sdk.vector_stores.retrieve(store.id).id == store.id
    assert store.id in [one.id for one in sdk.vector_stores.list(limit=1)]
    assert sdk.vector_stores.update(store.id, name="Notes").name == "Notes"
    batch = sdk.vector_stores.file_batches.create(store.id, file_ids=[file.id])
    assert batch.file_counts.total == 1
    dataset_file = sdk.vector_stores.files.retrieve(file.id, vector_store_id=store.id)
    assert (dataset_file.object, dataset_file.vector_store_id) == ("vector_store.file", store.id)
    # Whether it is ready by now depends on the worker.
    assert dataset_file.status in ("in_progress", "completed")
    assert [one.id for one in sdk.vector_stores.files.list(store.id)] == [file.id]
    changed = sdk.vector_stores.files.update(file.id, vector_store_id=store.id, attributes={"year": 2026})
    assert changed.attributes == {"year": 2026}
    years = {"type": "eq", "key": "year", "value": 1999}
    assert sdk.vector_stores.search(store.id, query="When does it open?", filters=years).data == []
    assert sdk.vector_stores.files.delete(file.id, vector_store_id=store.id).deleted
    assert sdk.vector_stores.delete(store.id).deleted
    raised(openai.NotFoundError, sdk.vector_stores.retrieve, store.id)
    assert sdk.files.delete(file.id).deleted


CHECKS = {name.removeprefix("check_"): f for name, f in list(globals().items()) if name.startswith("check_")}


def run(facts):
    """Each check with what went wrong in it, None for nothing."""
    outcome = {}
    with OpenAI(
        base_url=facts["base_url"],
        api_key=facts["api_key"],
        max_retries=0,
        timeout=30,
        _strict_response_validation=True,
    ) as sdk:
        for name, check in CHECKS.items():
            try:
                check(sdk, **facts)
                outcome[name] = None
            except Exception:  # noqa: BLE001 - whatever it was, it is told
                outcome[name] = traceback.format_exc()
    return outcome


if __name__ == "__main__":
    json.dump({"version": openai.__version__, "checks": run(json.load(sys.stdin))}, sys.stdout)
