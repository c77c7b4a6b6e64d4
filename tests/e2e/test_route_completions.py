"""The legacy route: whole and streamed, by a model that completes and by an agent that chats."""

import pytest

from tests import answers
from tests.answers import answer, chunks, completion, stream, usage
from tests.e2e.media import text_choice, text_completion
from tests.wire import envelope, events

LOGPROBS = {
    "tokens": ["Once", " upon"],
    "token_logprobs": [-0.5, -0.25],
    "text_offset": [0, 4],
    "top_logprobs": [{"Once": -0.5, "One": -1.5}, {" upon": -0.25}],
}
PIECES = [
    text_completion(text_choice("Once ", finish_reason=None)),
    text_completion(text_choice("upon a time.", finish_reason=None)),
    text_completion(text_choice("", finish_reason="length")),
]
SPENT = {**text_completion(), "choices": [], "usage": usage(4, 6)}


def ask(http, **more):
    return http.post("/completions", json={"model": "fast", "prompt": "Once", **more})


def said(got: list) -> str:
    return "".join(choice["text"] for one in got if one != "[DONE]" for choice in one["choices"])


@pytest.mark.parametrize(
    "prompt", ["Once", ["Once", "Twice"], [1, 2, 3], [[1, 2], [3]]], ids=["text", "texts", "ids", "lists"]
)
def test_the_sdk_gets_a_whole_completion(upstream, studio, sdk, prompt):
    choices = [text_choice(logprobs=LOGPROBS), text_choice("Twice.", 1, finish_reason="eos")]
    upstream.script(studio.raw, answer(text_completion(*choices, usage=usage(4, 6))))
    got = sdk.completions.create(
        model="fast",
        prompt=prompt,
        n=1,
        suffix="!",
        echo=True,
        best_of=2,
        logprobs=2,
        max_tokens=0,
        stop=["\n"],
    )
    assert got.id.startswith("cmpl-")
    assert got.id != "cmpl-upstream"
    assert (got.object, got.model) == ("text_completion", "fast")
    assert [choice.text for choice in got.choices] == ["Once upon a time.", "Twice."]
    assert [choice.finish_reason for choice in got.choices] == ["stop", "stop"]
    assert got.choices[0].logprobs.to_dict() == LOGPROBS
    assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (4, 6)
    sent = upstream.last(studio.raw)
    assert sent.path == "/v1/completions"
    assert (sent.json["prompt"], sent.json["suffix"], sent.json["best_of"]) == (prompt, "!", 2)


@pytest.mark.parametrize("asked", [True, False])
def test_the_sdk_gets_a_streamed_completion(upstream, studio, lenient, asked):
    upstream.script(studio.raw, stream(*PIECES, SPENT, split=11))
    more = {"stream_options": {"include_usage": True}} if asked else {}
    got = list(lenient.completions.create(model="fast", prompt="Once", stream=True, **more))
    assert len({(one.id, one.created, one.model, one.object) for one in got}) == 1
    assert got[0].id != "cmpl-upstream"
    assert (got[0].model, got[0].object) == ("fast", "text_completion")
    assert "".join(one.choices[0].text for one in got if one.choices) == "Once upon a time."
    assert [one.choices[0].finish_reason for one in got if one.choices] == [None, None, "length"]
    if asked:
        assert got[-1].choices == []
        assert got[-1].usage.total_tokens == 10
    else:
        assert all(one.usage is None for one in got)
    assert upstream.last(studio.raw).json["stream_options"] == {"include_usage": True}


def test_an_agent_answers_with_its_instructions(upstream, studio, sdk):
    upstream.script(studio.raw, answer(completion("Once upon a time.")))
    got = sdk.completions.create(model="support", prompt="Once", max_tokens=9, temperature=0.5)
    assert (got.model, got.object, got.choices[0].text) == ("support", "text_completion", "Once upon a time.")
    assert got.usage.total_tokens == 18
    sent = upstream.last(studio.raw)
    assert sent.path == "/v1/chat/completions"
    assert sent.json["messages"] == [
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": "Once"},
    ]
    assert (sent.json["max_tokens"], sent.json["temperature"]) == (9, 0.5)
    assert "prompt" not in sent.json


def test_an_agent_streams(upstream, studio, studio_http):
    upstream.script(studio.raw, stream(*chunks("Once ", "upon a time.")))
    got = events(ask(studio_http, model="support", stream=True).text)
    assert said(got) == "Once upon a time."
    assert got[-1] == "[DONE]"
    assert {one["object"] for one in got[:-1]} == {"text_completion"}
    assert got[-2]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("tool_calls", "stop"), ("content_filter", "content_filter"), ("max_tokens", "length"), (None, "stop")],
)
def test_a_completion_ends_for_a_reason_that_completions_know(
    upstream, studio, studio_http, reason, expected
):
    upstream.script(studio.raw, answer(text_completion(text_choice(finish_reason=reason))))
    assert ask(studio_http).json()["choices"][0]["finish_reason"] == expected


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"suffix": "!"}, "suffix"),
        ({"echo": True}, "echo"),
        ({"logprobs": 2}, "logprobs"),
        ({"prompt": ["Once", "Twice"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
    ],
)
def test_what_an_agent_cannot_do_is_refused(upstream, studio, studio_http, more, param):
    upstream.script(studio.raw)
    assert envelope(ask(studio_http, model="support", **more), 400)["param"] == param
    assert upstream.received(studio.raw) == []


def test_neutral_parameters_are_accepted_for_agents(upstream, studio, studio_http):
    upstream.script(studio.raw, answer())
    more = {"suffix": None, "echo": False, "logprobs": None, "best_of": 1, "prompt": ["Once"]}
    assert ask(studio_http, model="support", **more).status_code == 200
    assert not more.keys() & upstream.last(studio.raw).json.keys()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": {"text": "Once"}}, "prompt"),
        ({"prompt": ["Once", True]}, "prompt"),
        ({"prompt": ["Once", {}]}, "prompt"),
        ({"prompt": [["Once"]]}, "prompt"),
        ({"temperature": 3}, "temperature"),
        ({"n": 0}, "n"),
        ({"logprobs": 6}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"best_of": "2"}, "best_of"),
        ({"echo": "yes"}, "echo"),
        ({"suffix": 5}, "suffix"),
        ({"stop": 5}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"model": ""}, "model"),
    ],
    ids=str,
)
def test_a_bad_parameter_is_named(upstream, studio, studio_http, body, param):
    upstream.script(studio.raw)
    error = envelope(ask(studio_http, **body), 400)
    assert error["param"].partition("[")[0] == param
    assert upstream.received(studio.raw) == []


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("reported", [True, False])
def test_tokens_are_metered(upstream, studio, studio_http, record, reported, streamed):
    if streamed:
        upstream.script(studio.raw, stream(*PIECES, *([SPENT] if reported else [])))
    else:
        more = {"usage": usage(4, 6)} if reported else {}
        upstream.script(studio.raw, answer(text_completion(**more)))
    response = ask(studio_http, stream=streamed)
    row = record(response.headers["x-request-id"])
    assert (row.route, row.streamed, row.estimated) == ("/completions", streamed, not reported)
    assert (row.input_tokens, row.output_tokens) == ((4, 6) if reported else (1, 5))
    assert (row.first_token_ms is not None) is streamed


@pytest.mark.parametrize(
    "ending",
    [
        stream(*PIECES[:2], done=False, then=answers.CUT, delay=0.02),
        stream(*PIECES[:2], answers.error_body(), done=False, delay=0.02),
        stream(*PIECES[:2], b'data: {"choices": [{"te', done=False, then=answers.RESET, delay=0.02),
    ],
)
def test_a_stream_that_breaks_off_says_so(upstream, studio, studio_http, ending):
    upstream.script(studio.raw, ending)
    response = ask(studio_http, stream=True)
    got = events(response.text)
    assert said(got[:-1]) == "Once upon a time."
    assert got[-1]["error"]["code"] == "upstream_error"
    assert "[DONE]" not in response.text
