"""What clients get when a provider fails: before the first byte a status, after it an event of the stream."""

import json
import socket
import time

import pytest

from tests import answers, factories
from tests.answers import answer, chunk, chunks, completion, event, stream, usage
from tests.wire import PLAIN, chat, content, envelope, events

BOTH = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
BODIES = pytest.mark.parametrize("body", answers.bodies_of_errors(), ids=lambda body: body[0])


def ask(http, **more):
    return http.post("/chat/completions", json=chat("fast", **more))


@BOTH
@BODIES
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, 400),
        (413, 400),
        (422, 400),
        (401, 502),
        (403, 502),
        (404, 502),
        (500, 502),
        (503, 502),
        (302, 502),
    ],
)
def test_provider_status_is_mapped(upstream, world, http, status, expected, body, streamed):
    upstream.script(world.raw, answer(body[1], status, content_type=body[2]))
    response = ask(http, stream=streamed)
    envelope(response, expected, "upstream_error" if expected == 502 else None)
    assert "own words" not in response.text
    assert len(upstream.received(world.raw)) == 1


@BOTH
@pytest.mark.parametrize(
    "error",
    [
        {"code": ["a"], "type": {"b": 1}, "param": {"c": []}, "message": ["d"]},
        {"code": 3.5, "type": 1, "param": 0, "message": None},
        {},
        [],
        None,
        True,
        "words",
    ],
    ids=str,
)
@pytest.mark.parametrize("status", [200, 400, 429, 500])
def test_error_of_unexpected_shape_is_mapped_by_its_status(upstream, world, http, status, error, streamed):
    upstream.script(world.raw, answer({"error": error}, status))
    response = ask(http, stream=streamed)
    assert response.status_code in {200: (502,), 400: (400,), 429: (429, 503), 500: (502,)}[status]
    envelope(response, response.status_code)


@BOTH
@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": "context_length_exceeded", "message": "too long"}, "context_length_exceeded"),
        ({"message": "This model's maximum context length is 8192 tokens."}, "context_length_exceeded"),
        ({"code": "content_filter", "message": "refused"}, "content_filter"),
        ({"code": "some_code_of_its_own", "message": "x"}, "invalid_value"),
    ],
)
def test_refusal_has_a_known_code(upstream, world, http, error, code, streamed):
    upstream.script(world.raw, answer({"error": error}, 400))
    envelope(ask(http, stream=streamed), 400, code)


@BOTH
@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ([("retry-after", "7")], 7),
        ([("retry-after", "0.2")], 1),
        ([("retry-after", "86400")], 60),
        ([("retry-after", "soon")], 1),
        ([("retry-after", "nan")], 1),
        ([("retry-after", "inf")], 60),
        ([], 1),
    ],
)
def test_rate_limit_of_the_provider_has_retry_after(upstream, world, http, headers, wait, streamed):
    upstream.script(world.raw, answer(answers.error_body(), 429, headers=headers))
    response = ask(http, stream=streamed)
    assert response.status_code in (429, 503)
    envelope(response, response.status_code)
    assert response.headers["retry-after"] == str(wait)


@BOTH
@pytest.mark.parametrize(
    "play",
    [
        answers.html(200),
        answer(b"", content_type=None),
        answer(b"not json"),
        answer(b'{"choices": [', content_type="application/json"),
        answer({"choices": None}),
        answer({"choices": "x"}),
        answer({"choices": [1]}),
        answer(answers.error_body()),
        answers.truncated(),
        answers.closed(),
    ],
)
def test_malformed_provider_response_is_502(upstream, world, http, play, streamed):
    upstream.script(world.raw, play)
    # Over a connection that was idle before, a request that got no answer may be sent once more.
    upstream.hang_up_idle()
    time.sleep(0.02)
    envelope(ask(http, stream=streamed), 502, "upstream_error")
    assert len(upstream.received(world.raw)) == 1


@pytest.mark.parametrize(
    "body",
    [
        completion(choices=[]),
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": "text"}]},
        {"choices": [{"message": {}}]},
    ],
    ids=str,
)
def test_incomplete_response_is_completed_or_502(upstream, world, http, body):
    upstream.script(world.raw, answer(body))
    response = ask(http)
    if response.status_code != 200:
        envelope(response, 502, "upstream_error")
        return
    for choice in response.json()["choices"]:
        assert choice["finish_reason"] in ("stop", "length", "tool_calls", "content_filter", "function_call")
        assert choice["message"]["role"] == "assistant"


def slowly(*events, **more):
    """A stream of two words and then some, no two of its events in one packet."""
    return stream(*chunks("one", "two")[:-1], *events, delay=0.02, **more)


@pytest.mark.parametrize(
    "play",
    [
        slowly(answers.error_body(), done=False),
        slowly(answers.error_body()),
        slowly(done=False, then=answers.CUT),
        slowly(done=False, then=answers.RESET),
        slowly(done=False, raw=b'data: {"choices": [{"del', then=answers.CUT),
        slowly(done=False, raw=b'data: {"choices": [{"del'),
        slowly(done=False),
        slowly(done=False, framing=False),
        slowly(b"data: <html>Bad gateway</html>\n\n", done=False),
        slowly(b"data: [1, 2]\n\n", done=False),
        slowly(b'data: {"choices": 1}\n\n', done=False),
        slowly(b'data: {"choices": [1]}\n\n', done=False),
        slowly(b'data: {"choices": [{"delta": 1}]}\n\n', done=False),
        slowly(b'event: error\ndata: {"message": "x"}\n\n', done=False),
    ],
)
def test_fault_within_a_stream_is_its_last_event(upstream, world, http, play):
    upstream.script(world.raw, play)
    response = ask(http, stream=True)
    assert response.status_code == 200
    got = events(response.text)
    assert content(got) == "onetwo"
    assert set(got[-1]) == {"error"}
    assert set(got[-1]["error"]) == {"message", "type", "param", "code"}
    assert got[-1]["error"]["code"] == "upstream_error"
    assert "[DONE]" not in response.text
    assert "own words" not in response.text
    assert not any("error" in one for one in got[:-1])


@pytest.mark.parametrize(
    "play",
    [
        stream(done=False),
        stream(done=False, then=answers.CUT),
        stream(answers.error_body(), done=False),
        stream(answers.error_body()),
        stream(b"data: no json\n\n"),
        stream(raw=b"data: {", done=False),
        answers.headers_then_silence("text/html"),
    ],
)
def test_fault_before_the_first_event_is_a_status(upstream, world, http, play):
    world.provider.first_byte_timeout = 0.5
    world.provider.save()
    time.sleep(0.5)
    upstream.script(world.raw, play)
    response = ask(http, stream=True)
    assert response.status_code in (502, 504)
    envelope(response, response.status_code)


@pytest.mark.parametrize(
    "play",
    [
        stream(*chunks("Grüße ", "aus ", "東京"), newline="\r\n"),
        stream(*chunks("Grüße ", "aus ", "東京"), split=1),
        stream(*chunks("Grüße ", "aus ", "東京"), split=3, newline="\r\n"),
        stream(*chunks("Grüße ", "aus ", "東京"), together=True),
        stream(*chunks("Grüße ", "aus ", "東京"), framing=False),
        stream(*chunks("Grüße ", "aus ", "東京"), content_type="text/event-stream; charset=utf-8"),
        stream(b": ping\n\n", *chunks("Grüße ", "aus "), b": ping\r\n\r\n", *chunks("東京")),
        stream(*(f"data:{json.dumps(one)}\n\n".encode() for one in chunks("Grüße ", "aus ", "東京"))),
        stream(*(b"event: x\nid: 7\nretry: 1\n" + event(one) for one in chunks("Grüße ", "aus ", "東京"))),
        stream(*chunks("Grüße ", "aus ", "東京"), done=False),
        stream(*chunks("Grüße ", "aus ", "東京"), then=answers.HOLD),
        stream(*chunks("Grüße ", "aus ", "東京"), then=answers.RESET),
        stream(*chunks("Grüße ", "aus ", "東京"), raw=b"data: after the end\n\n"),
        stream(*chunks("Grüße ", "aus ", "東京", usage=usage())),
    ],
)
def test_stream_is_complete_for_any_framing(upstream, world, http, play):
    upstream.script(world.raw, play)
    response = ask(http, stream=True)
    got = events(response.text)
    assert content(got) == "Grüße aus 東京"
    assert got[-1] == "[DONE]"
    finished = [choice["finish_reason"] for one in got[:-1] for choice in one["choices"]]
    assert finished[-1] == "stop"


def test_chunks_are_forwarded_as_they_arrive(upstream, world, http):
    upstream.script(world.raw, stream(*chunks("one", "two", "three"), delay=0.4))
    came = []
    with http.stream("POST", "/chat/completions", json=chat("fast", stream=True)) as response:
        for line in response.iter_lines():
            if '"content":"' in line.replace(": ", ":"):
                came.append(time.monotonic())  # noqa: PERF401 - a list made at once would hide when each came
    assert came[-1] - came[0] > 0.6


@pytest.mark.parametrize("size", [1, 20])
def test_large_response_is_complete(upstream, world, http, size):
    upstream.script(world.raw, answer(answers.huge(size)))
    assert len(ask(http).json()["choices"][0]["message"]["content"]) == size << 20


def test_slow_response_is_complete(upstream, world, http):
    upstream.script(world.raw, answer(split=40, drip=0.02))
    assert ask(http).json()["choices"][0]["message"]["content"] == "Hello there."


def test_events_without_choices_are_accepted(upstream, world, http):
    upstream.script(world.raw, stream(chunk(choices=[]), *chunks("one"), chunk(choices=[], usage=usage())))
    got = events(ask(http, stream=True).text)
    assert content(got) == "one"
    assert got[-1] == "[DONE]"


@BOTH
@pytest.mark.parametrize("close", [answers.closes_when_reused, answers.resets_when_reused])
def test_pooled_connection_that_died_is_replaced(upstream, world, http, close, streamed):
    upstream.script(world.raw, close(stream(*chunks("still here")) if streamed else answer()))
    for _ in range(8):
        assert ask(http, stream=streamed).status_code == 200


@BOTH
def test_request_that_reached_the_provider_is_not_repeated(upstream, world, http, streamed):
    upstream.script(world.raw, answers.closed(), answer())
    upstream.hang_up_idle()
    time.sleep(0.02)
    envelope(ask(http, stream=streamed), 502, "upstream_error")
    assert len(upstream.received(world.raw)) == 1


class TestTimeouts:
    """Each world's provider has one short limit; all others stay long."""

    def chat(self, gateway, made, *, streamed: bool):
        started = time.monotonic()
        response = PLAIN.post(
            f"{gateway.base_url}/chat/completions",
            json=chat("fast", stream=streamed),
            headers=made.authorization,
        )
        return response, time.monotonic() - started

    @BOTH
    def test_silent_provider_is_504(self, gateway, upstream, streamed):
        limit = {"first_byte_timeout": 0.4} if streamed else {"total_timeout": 0.4}
        made = factories.world(upstream.base_url, **limit)
        upstream.script(made.raw, answers.silent())
        response, took = self.chat(gateway, made, streamed=streamed)
        envelope(response, 504, "upstream_timeout")
        assert 0.3 < took < 3
        assert upstream.last(made.raw).closed_within(1)

    def test_silence_after_the_headers_is_504(self, gateway, upstream):
        made = factories.world(upstream.base_url, first_byte_timeout=0.4)
        upstream.script(made.raw, answers.headers_then_silence())
        response, _ = self.chat(gateway, made, streamed=True)
        envelope(response, 504, "upstream_timeout")
        assert upstream.last(made.raw).closed_within(1)

    def test_silence_within_a_stream_is_an_error_event(self, gateway, upstream):
        made = factories.world(upstream.base_url, between_chunks_timeout=0.4)
        upstream.script(made.raw, stream(*chunks("one")[:-1], done=False, then=answers.HOLD))
        response, took = self.chat(gateway, made, streamed=True)
        got = events(response.text)
        assert content(got) == "one"
        assert got[-1]["error"]["code"] == "upstream_timeout"
        assert took < 3
        assert upstream.last(made.raw).closed_within(1)

    @BOTH
    def test_total_timeout_ends_the_request(self, gateway, upstream, streamed):
        made = factories.world(upstream.base_url, total_timeout=0.6)
        play = answers.endless(every=0.05) if streamed else answer(split=5, drip=0.1)
        upstream.script(made.raw, play)
        response, took = self.chat(gateway, made, streamed=streamed)
        assert took < 4
        if streamed:
            assert events(response.text)[-1]["error"]["code"] == "upstream_timeout"
        else:
            envelope(response, 504, "upstream_timeout")
        assert upstream.last(made.raw).closed_within(1)

    def test_timeouts_of_streams_do_not_apply_to_whole_responses(self, gateway, upstream):
        made = factories.world(upstream.base_url, first_byte_timeout=0.2, between_chunks_timeout=0.2)
        upstream.script(made.raw, answer(wait=0.8))
        response, _ = self.chat(gateway, made, streamed=False)
        assert response.status_code == 200

    def test_stream_may_take_longer_than_the_time_between_chunks(self, gateway, upstream):
        made = factories.world(upstream.base_url, first_byte_timeout=0.5, between_chunks_timeout=0.5)
        upstream.script(made.raw, stream(*chunks("a", "b", "c", "d"), delay=0.2))
        response, _ = self.chat(gateway, made, streamed=True)
        assert content(events(response.text)) == "abcd"

    @BOTH
    def test_provider_that_accepts_no_connections_is_502_or_504(self, gateway, streamed):
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
            address = listener.getsockname()
            queued = [socket.socket() for _ in range(3)]
            for one in queued:
                one.setblocking(False)
                one.connect_ex(address)
            made = factories.world(f"http://127.0.0.1:{address[1]}/v1", connect_timeout=0.5)
            response, took = self.chat(gateway, made, streamed=streamed)
            for one in queued:
                one.close()
        assert response.status_code in (502, 504)
        envelope(response, response.status_code)
        assert took < 5

    def test_unknown_host_is_502_or_504(self, gateway):
        made = factories.world("http://unknown.invalid/v1", connect_timeout=2)
        response, _ = self.chat(gateway, made, streamed=False)
        assert response.status_code in (502, 504)
        envelope(response, response.status_code)
        assert "invalid" not in response.text
