"""A provider that sends a wrong type anywhere: clients get a response that their types accept, or a 502."""

from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests import answers
from tests.answers import choice, chunk, completion, tool_call, usage
from tests.e2e.mutations import changed, places
from tests.wire import chat, envelope, events

TOKEN = {"token": "Hi", "bytes": [72], "logprob": -0.5}
LOGPROBS = {"content": [{**TOKEN, "top_logprobs": [TOKEN]}], "refusal": None}
CITED = {"url": "http://x", "title": "X", "start_index": 0, "end_index": 1}
RICH = {
    "refusal": None,
    "reasoning_content": "Hm.",
    "annotations": [{"type": "url_citation", "url_citation": CITED}],
    "audio": {"id": "audio_1", "data": "AAAA", "expires_at": 1790000600, "transcript": "Hi"},
}
USAGE = usage(
    prompt_tokens_details={"cached_tokens": 1},
    completion_tokens_details={"reasoning_tokens": 1, "audio_tokens": 0},
)
CALLED = {"name": "weather", "arguments": "{}"}
WHOLE = completion(
    choices=[
        {
            **choice("Hi", tool_calls=[tool_call(0, "weather", "{}")], function_call=CALLED, **RICH),
            "logprobs": LOGPROBS,
        }
    ],
    usage=USAGE,
    service_tier="default",
)
PIECES = [
    chunk({"role": "assistant", "content": "", **RICH}, service_tier="default"),
    chunk({"tool_calls": [{"index": 0, **tool_call(0, "weather", "{}")}], "function_call": CALLED}),
    {
        **chunk(),
        "choices": [{"index": 0, "delta": {"content": "Hi"}, "logprobs": LOGPROBS, "finish_reason": None}],
    },
    chunk({}, finish="stop"),
    chunk(choices=[], usage=USAGE),
]
ODD: list[Any] = [None, True, -1, 2**70, "text", [], [1], {"a": 1}, [{}]]


def test_unchanged_responses_are_accepted(upstream, world, http):
    upstream.script(world.raw, answers.answer(WHOLE))
    message = (
        ChatCompletion.model_validate(http.post("/chat/completions", json=chat("fast")).json())
        .choices[0]
        .message
    )
    assert message.tool_calls
    assert message.audio
    assert message.annotations
    upstream.script(world.raw, answers.stream(*PIECES))
    assert events(http.post("/chat/completions", json=chat("fast", stream=True)).text)[-1] == "[DONE]"


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_response_with_one_wrong_type_is_valid_or_502(upstream, world, http, odd):
    where = list(places(WHOLE))
    upstream.script(world.raw, *[answers.answer(changed(WHOLE, at, odd)) for at in where])
    for at in where:
        response = http.post("/chat/completions", json=chat("fast"))
        if response.status_code != 200:
            envelope(response, 502, "upstream_error")
            continue
        try:
            ChatCompletion.model_validate(response.json())
        except ValueError as error:
            raise AssertionError(f"{at}: {error}\n{response.text}") from None


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_stream_with_one_wrong_type_is_valid_or_an_error(upstream, world, http, odd):
    where = list(places(PIECES))
    where = [at for at in where if len(at) > 1]
    plays = [answers.stream(*changed(PIECES, at, odd), together=True) for at in where]
    upstream.script(world.raw, *plays)
    for at in where:
        options = {"include_usage": True}
        response = http.post("/chat/completions", json=chat("fast", stream=True, stream_options=options))
        if response.status_code != 200:
            envelope(response, 502, "upstream_error")
            continue
        got = events(response.text)
        ending = got.pop()
        assert ending == "[DONE]" or ending["error"]["code"] == "upstream_error", (at, ending)
        for one in got:
            try:
                ChatCompletionChunk.model_validate(one)
            except ValueError as error:
                raise AssertionError(f"{at}: {error}\n{one}") from None
