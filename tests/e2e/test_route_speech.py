"""Speech: bytes as they come in the format that was asked for, events, and no proper end for a broken one."""

import time
from base64 import b64decode

import httpx
import pytest

from tests import answers
from tests.answers import answer
from tests.e2e.media import SPEECH_EVENTS, SPEECH_USAGE, base64, sound, typed
from tests.wire import RawClient, envelope, events

SPOKEN = {"model": "fast", "input": "Grüße!", "voice": "alloy"}
TYPES = {
    None: "audio/mpeg",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
BYTES = bytes(range(256)) * 8


def ask(http, **more):
    return http.post("/audio/speech", json={**SPOKEN, **more})


@pytest.mark.parametrize("form", TYPES)
def test_the_sdk_gets_every_format(upstream, studio, sdk, form):
    upstream.script(studio.raw, sound(BYTES[:1000], BYTES[1000:], content_type="application/octet-stream"))
    more = {"response_format": form} if form else {}
    got = sdk.audio.speech.create(**SPOKEN, speed=1.5, instructions="Slowly.", **more)
    assert got.content == BYTES
    assert got.response.headers["content-type"] == TYPES[form]
    assert got.response.headers["x-request-id"].startswith("req_")
    sent = upstream.last(studio.raw).json
    assert sent == {**SPOKEN, "model": studio.raw, "speed": 1.5, "instructions": "Slowly.", **more}


def test_the_sdk_gets_bytes_as_they_come(upstream, studio, sdk):
    upstream.script(studio.raw, sound(b"first", b"second", delay=0.3))
    came = []
    with sdk.audio.speech.with_streaming_response.create(**SPOKEN, stream_format="audio") as response:
        for part in response.iter_bytes():
            came.append((part, time.monotonic()))  # noqa: PERF401 - a list made at once would hide when each came
    assert [part for part, _ in came] == [b"first", b"second"]
    assert came[1][1] - came[0][1] > 0.15


def test_an_answer_with_a_length_arrives_whole(upstream, studio, sdk):
    upstream.script(studio.raw, answer(BYTES, content_type="audio/mpeg", split=300))
    assert sdk.audio.speech.create(**SPOKEN).content == BYTES


def test_the_sdk_gets_events(upstream, studio, sdk):
    upstream.script(studio.raw, answers.stream(*SPEECH_EVENTS, done=False, split=9))
    with sdk.audio.speech.with_streaming_response.create(**SPOKEN, stream_format="sse") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        got = events(b"".join(response.iter_bytes()).decode())
    assert [one["type"] for one in got] == ["speech.audio.delta"] * 2 + ["speech.audio.done"]
    assert b"".join(b64decode(one["audio"]) for one in got[:2]) == b"first second"
    assert got[2]["usage"] == SPEECH_USAGE
    assert upstream.last(studio.raw).json["stream_format"] == "sse"


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("usage", [{}, {"usage": None}, {"usage": {"input_tokens": "x"}}], ids=str)
def test_the_last_event_always_has_a_usage(upstream, studio, studio_http, record, usage, done):
    plain = typed("speech.audio.done", **usage)
    upstream.script(studio.raw, answers.stream(SPEECH_EVENTS[0], plain, done=done))
    response = ask(studio_http, input="Hello there", stream_format="sse")
    assert events(response.text)[-1]["usage"] == {"input_tokens": 2, "output_tokens": 0, "total_tokens": 2}
    row = record(response.headers["x-request-id"])
    assert (row.characters, row.input_tokens, row.estimated) == (11, 2, True)


@pytest.mark.parametrize("streamed", ["sse", "audio", None])
def test_characters_are_metered(upstream, studio, studio_http, record, streamed):
    sse = streamed == "sse"
    upstream.script(studio.raw, answers.stream(*SPEECH_EVENTS, done=False) if sse else sound(b"x"))
    response = ask(studio_http, **({"stream_format": streamed} if streamed else {}))
    row = record(response.headers["x-request-id"])
    assert (row.route, row.characters, row.estimated) == ("/audio/speech", 6, False)
    assert (row.input_tokens, row.output_tokens) == ((3, 9) if sse else (0, 0))
    assert row.first_token_ms is not None


@pytest.mark.parametrize("then", [answers.CUT, answers.RESET])
def test_speech_that_breaks_off_has_no_proper_end(upstream, studio, studio_http, record, then):
    upstream.script(studio.raw, sound(b"first", delay=0.05, then=then))
    with studio_http.stream("POST", "/audio/speech", json=SPOKEN) as response:
        assert response.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            response.read()
    row = record(response.headers["x-request-id"])
    assert (row.status, row.error_code, row.characters) == (502, "upstream_error", 6)


def test_speech_that_is_shorter_than_its_length_has_no_proper_end(upstream, studio, studio_http):
    async def play(wire):
        await wire.send(answers.head(content_type="audio/mpeg") + b"content-length: 100\r\n\r\nshort")
        await wire.pause(0.05)
        wire.close()

    upstream.script(studio.raw, play)
    with pytest.raises(httpx.RemoteProtocolError):
        ask(studio_http)


@pytest.mark.parametrize(
    "broken",
    [
        (typed("speech.audio.done"),),
        (SPEECH_EVENTS[0],),
        (SPEECH_EVENTS[0], typed("speech.audio.delta")),
        (SPEECH_EVENTS[0], typed("speech.audio.delta", audio=5)),
        (SPEECH_EVENTS[0], typed("error", message="own words")),
        (SPEECH_EVENTS[0], b'data: {"type": 5}\n\n'),
        (SPEECH_EVENTS[0], answers.event(answers.error_body())),
        (SPEECH_EVENTS[0], b"data: {"),
    ],
    ids=["nothing", "no-end", "no-audio", "odd-audio", "unknown-error", "no-type", "error", "half"],
)
@pytest.mark.parametrize("done", [True, False])
def test_events_that_break_off_say_so(upstream, studio, studio_http, broken, done):
    upstream.script(studio.raw, answers.stream(*broken, done=done, delay=0.02))
    response = ask(studio_http, stream_format="sse")
    if len(broken) == 1 and b"done" in broken[0]:
        # Sound of no length is whole, too.
        assert events(response.text)[-1]["type"] == "speech.audio.done"
        return
    got = events(response.text)
    assert got[0]["audio"] == base64(b"first ")
    assert got[-1]["error"]["code"] == "upstream_error"
    assert "own words" not in response.text


@pytest.mark.parametrize(
    "play",
    [
        sound(),
        answer(b"", content_type="audio/mpeg"),
        answer({"audio": "AAAA"}),
        answer({"type": "x"}),
        answers.html(200),
        answer(b"own words", content_type="text/plain"),
        answers.stream(*SPEECH_EVENTS),
        answers.closed(),
    ],
    ids=["none", "empty", "json", "typed", "html", "text", "events", "closed"],
)
def test_response_without_audio_is_502(upstream, studio, studio_http, play):
    upstream.script(studio.raw, play)
    envelope(ask(studio_http), 502, "upstream_error")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["Hello"]}, "input"),
        ({"input": "x" * 4097}, "input"),
        ({"voice": None}, "voice"),
        ({"voice": 5}, "voice"),
        ({"response_format": "mid"}, "response_format"),
        ({"response_format": 5}, "response_format"),
        ({"speed": 5}, "speed"),
        ({"speed": "fast"}, "speed"),
        ({"stream_format": "x"}, "stream_format"),
        ({"instructions": 5}, "instructions"),
        ({"model": None}, "model"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_parameter_is_named(upstream, studio, studio_http, body, param):
    upstream.script(studio.raw)
    assert envelope(ask(studio_http, **body), 400)["param"] == param
    assert upstream.received(studio.raw) == []


def test_custom_voice_is_forwarded(upstream, studio, sdk):
    upstream.script(studio.raw, sound(b"x"))
    sdk.audio.speech.create(model="fast", input="x" * 4096, voice={"id": "voice_1"})
    assert upstream.last(studio.raw).json["voice"] == {"id": "voice_1"}


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("sse", [True, False])
def test_disconnect_closes_the_provider_connection(gateway, upstream, studio, record, sse, how):
    first = SPEECH_EVENTS[0] if sse else b"first"
    kind = "text/event-stream" if sse else "audio/mpeg"
    upstream.script(studio.raw, answers.stream(first, done=False, then=answers.HOLD, content_type=kind))
    client = RawClient(gateway.port, studio.authorization["authorization"])
    client.post({**SPOKEN, **({"stream_format": "sse"} if sse else {})}, "/api/tenant/audio/speech")
    head = client.read_until(base64(b"first ").encode() if sse else b"first")
    client.leave(how)
    assert upstream.last(studio.raw).closed_within(1)
    request_id = head.partition(b"x-request-id: ")[2].partition(b"\r\n")[0].decode()
    row = record(request_id)
    assert (row.status, row.error_code, row.characters) == (499, "client_closed_request", 6)
