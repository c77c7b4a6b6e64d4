"""The models of the SDK's checks: for each public name, what the provider behind it answers."""

from tests import answers
from tests.answers import answer, choice, chunk, chunks, completion, stream, tool_call, usage
from tests.e2e import media
from tests.upstream import Play

CALLS = [
    tool_call(0, "weather", '{"city": "Bonn"}'),
    tool_call(1, "weather", '{"city": "Köln"}'),
]
TEXT = ("Grüße", " aus ", "東京 ", "🗼", "!")
TOKEN = {"token": "Hi", "bytes": [72, 105], "logprob": -0.5}
LOGPROBS = {"content": [{**TOKEN, "top_logprobs": [TOKEN]}], "refusal": None}


def call_delta(index: int, arguments: str, **opening) -> dict:
    """A fragment of a streamed tool call; the first one has an id, a type and a name."""
    function = {"arguments": arguments, **({"name": "weather"} if opening else {})}
    return chunk({"tool_calls": [{"index": index, **opening, "function": function}]})


STREAMED_CALLS = [
    chunk({"role": "assistant", "content": None}),
    call_delta(0, "", id="call_upstream_0", type="function"),
    call_delta(0, '{"city": '),
    call_delta(0, '"Bonn"}'),
    call_delta(1, "", id="call_upstream_1", type="function"),
    call_delta(1, '{"city": "Kö'),
    call_delta(1, 'ln"}'),
    chunk({}, finish="tool_calls"),
]

ONLY_CHAT = "only-chat"
MODELS: dict[str, Play] = {
    "whole": answer(),
    "org/name:tag": answer(),
    "stream": stream(*chunks(*TEXT, usage=usage()), split=7),
    "slow-stream": stream(*chunks(*["word "] * 200), delay=0.05),
    "tools": answer(completion(choices=[choice(None, finish="tool_calls", tool_calls=CALLS)])),
    "stream-tools": stream(*STREAMED_CALLS, together=True),
    "structured": answer(completion('{"name": "Bonn", "people": 335000}')),
    "many": answer(
        completion(
            choices=[{**choice("Hi"), "logprobs": LOGPROBS}, {**choice("Ho", index=1), "logprobs": LOGPROBS}]
        )
    ),
    "odd": answer(
        completion(choices=[choice("Hi", finish="eos")], service_tier="on_demand", created=1790000000.5)
    ),
    "odd-stream": stream(
        chunk({"role": "assistant", "content": "Hi"}, service_tier="standard"), chunk({}, finish="end_turn")
    ),
    "rich": answer(
        completion(
            choices=[
                choice(
                    None,
                    refusal="I would rather not.",
                    reasoning_content="Let me think.",
                    audio={
                        "id": "audio_upstream",
                        "data": "AAAA",
                        "expires_at": 1790000600,
                        "transcript": "Hi",
                    },
                )
            ]
        )
    ),
    "failing": answers.html(500),
    "limited": answer(answers.error_body(), 429, headers=[("retry-after", "7")]),
    "breaking-stream": stream(*chunks("one", "two")[:-1], answers.error_body(), done=False, delay=0.02),
    "cut-stream": stream(*chunks("one", "two")[:-1], done=False, then=answers.CUT, delay=0.02),
    ONLY_CHAT: answer(),
    "embed": answer(media.embedded([0.5, -0.25], [1.0, 2.0])),
    "moderate": answer({"results": [media.moderated(True)]}),
    "legacy": answer(media.text_completion()),
    "legacy-stream": stream(
        media.text_completion(media.text_choice("Once upon ", finish_reason=None)),
        media.text_completion(media.text_choice("a time.")),
    ),
    "hear": answer({"text": "Hello there."}),
    "hear-text": answer(media.SRT, content_type="text/plain"),
    "hear-verbose": answer(media.VERBOSE),
    "hear-stream": stream(*media.TRANSCRIPT_EVENTS, done=False),
    "speak": media.sound(b"first ", b"second"),
    "breaking-speech": media.sound(b"first ", delay=0.02, then=answers.CUT),
    "draw": answer(media.pictures()),
    "draw-stream": stream(*media.image_events(), done=False),
}
