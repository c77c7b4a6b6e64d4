"""Transcriptions and translations: every format, events, and what the provider gets of the form."""

import pytest
from openai.types.audio import TranscriptionDiarized, TranscriptionVerbose

from tests import answers, factories
from tests.answers import answer, stream
from tests.e2e.media import (
    DIARIZED,
    HEARD,
    SOUND,
    SPOKEN,
    SRT,
    TOKENS,
    TRANSCRIPT_EVENTS,
    VERBOSE,
    VTT,
    WAV,
    typed,
)
from tests.wire import PLAIN, envelope, events

TEXT = {"text": "Hello there."}


def ask(http, route="transcriptions", files=None, **fields):
    files = {"file": SOUND} if files is None else files
    return http.post(f"/audio/{route}", data={"model": "fast", **fields}, files=files)


@pytest.mark.parametrize("usage", [None, HEARD, TOKENS], ids=["none", "seconds", "tokens"])
def test_the_sdk_gets_json(upstream, studio, sdk, usage):
    logprobs = [{"token": "Hello", "logprob": -0.25, "bytes": [72]}]
    said = {**TEXT, "usage": usage, "logprobs": logprobs, "languages": [{"code": "en"}, {"code": 5}]}
    upstream.script(studio.raw, answer(said))
    got = sdk.audio.transcriptions.create(
        model="fast", file=SOUND, language="en", prompt="Hm.", temperature=0.2, include=["logprobs"]
    )
    assert got.text == "Hello there."
    assert got.logprobs[0].to_dict() == logprobs[0]
    assert [language.code for language in got.languages] == ["en"]
    assert (got.usage.to_dict() if got.usage else None) == usage
    sent = upstream.last(studio.raw)
    fields = {part.name: part.data.decode() for part in sent.form if part.filename is None}
    assert fields == {
        "model": studio.raw,
        "language": "en",
        "prompt": "Hm.",
        "temperature": "0.2",
        "include[]": "logprobs",
    }
    (file,) = [part for part in sent.form if part.filename is not None]
    assert (file.name, file.filename, file.content_type, file.data) == ("file", "file.wav", "audio/wav", WAV)


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
@pytest.mark.parametrize("kind", ["text/plain; charset=utf-8", "application/octet-stream", "text/vtt"])
def test_the_sdk_gets_text(upstream, studio, sdk, form, kind):
    said = {"text": "Hello there. 東京", "srt": SRT, "vtt": VTT}[form]
    upstream.script(studio.raw, answer(said, content_type=kind))
    assert sdk.audio.transcriptions.create(model="fast", file=SOUND, response_format=form) == said
    assert upstream.last(studio.raw).fields("response_format") == [form]
    raw = sdk.audio.transcriptions.with_raw_response.create(model="fast", file=SOUND, response_format=form)
    assert raw.headers["content-type"] == "text/plain; charset=utf-8"


def test_json_of_a_provider_that_knows_no_text_becomes_text(upstream, studio, studio_http):
    upstream.script(studio.raw, answer(TEXT))
    assert ask(studio_http, response_format="text").text == "Hello there."


def test_the_sdk_gets_verbose_json(upstream, studio, sdk):
    upstream.script(studio.raw, answer(VERBOSE))
    got = sdk.audio.transcriptions.create(
        model="fast",
        file=SOUND,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert isinstance(got, TranscriptionVerbose)
    assert got.to_dict() == VERBOSE
    assert upstream.last(studio.raw).fields("timestamp_granularities[]") == ["word", "segment"]


def test_a_verbose_transcript_is_made_whole(upstream, studio, sdk):
    lean = {"text": "Hello there.", "duration": "0.5", "segments": [{"text": "Hello"}, {"id": "x"}]}
    upstream.script(studio.raw, answer({**lean, "words": [{"word": "Hello"}, {"start": 1}], "usage": TOKENS}))
    got = sdk.audio.transcriptions.create(model="fast", file=SOUND, response_format="verbose_json")
    assert (got.duration, got.language, got.usage) == (0.5, "", None)
    assert [(segment.id, segment.text) for segment in got.segments] == [(0, "Hello"), (1, "")]
    assert [word.word for word in got.words] == ["Hello"]


def test_the_sdk_gets_speakers(upstream, studio, sdk):
    upstream.script(studio.raw, answer(DIARIZED))
    got = sdk.audio.transcriptions.create(
        model="fast",
        file=SOUND,
        response_format="diarized_json",
        chunking_strategy="auto",
        known_speaker_names=["ann", "bob"],
        known_speaker_references=["data:audio/wav;base64,AAAA", "data:audio/wav;base64," + "A" * 3_000_000],
    )
    assert isinstance(got, TranscriptionDiarized)
    assert got.to_dict() == {**DIARIZED, "segments": [{**SPOKEN, "id": "seg_0"}]}
    sent = upstream.last(studio.raw)
    assert sent.fields("known_speaker_names[]") == ["ann", "bob"]
    assert len(sent.fields("known_speaker_references[]")[1]) > 3_000_000


def test_the_sdk_gets_events(upstream, studio, sdk):
    upstream.script(studio.raw, stream(*TRANSCRIPT_EVENTS, done=False, split=9))
    got = list(sdk.audio.transcriptions.create(model="fast", file=SOUND, stream=True))
    assert [one.type for one in got] == ["transcript.text.delta"] * 2 + ["transcript.text.done"]
    assert "".join(one.delta for one in got[:2]) == got[2].text == "Hello there."
    assert got[2].usage.to_dict() == TOKENS
    assert upstream.last(studio.raw).fields("stream") == ["true"]


@pytest.mark.parametrize(
    ("play", "usage"),
    [
        (answer({**TEXT, "usage": TOKENS, "model": "raw"}), TOKENS),
        (answer({**VERBOSE, "usage": HEARD}), None),
        (answer("Hello there.", content_type="text/plain; charset=utf-8"), None),
    ],
    ids=["json", "verbose", "text"],
)
def test_whole_response_becomes_events_if_requested(upstream, studio, sdk, record, play, usage):
    upstream.script(studio.raw, play)
    streamed = sdk.audio.transcriptions.create(model="fast", file=SOUND, stream=True)
    got = [one.to_dict() for one in streamed]
    said = {"usage": usage} if usage else {}
    assert got == [
        {"type": "transcript.text.delta", "delta": "Hello there."},
        {"type": "transcript.text.done", "text": "Hello there.", **said},
    ]
    row = record(streamed.response.headers["x-request-id"])
    assert row.audio_ms
    assert row.input_tokens == (usage or {}).get("input_tokens", 0)


@pytest.mark.parametrize(
    "play", [answer({}), answer({"text": 5}), answer(answers.error_body()), answers.html(200)]
)
def test_invalid_whole_response_is_502(upstream, studio, studio_http, play):
    upstream.script(studio.raw, play)
    envelope(ask(studio_http, stream="true"), 502, "upstream_error")


def test_events_of_speakers_keep_their_segments_apart(upstream, studio, sdk):
    written = [
        typed("transcript.text.delta", delta="Hello", segment_id="upstream-7"),
        typed("transcript.text.segment", **{**SPOKEN, "id": "upstream-7", "type": "transcript.text.segment"}),
        typed("transcript.text.delta", delta=" there.", segment_id="upstream-8"),
        typed("transcript.text.segment", id="upstream-8", text="there"),
        typed("transcript.text.done", text="Hello there.", usage=HEARD),
    ]
    upstream.script(studio.raw, stream(*written))
    got = list(sdk.audio.transcriptions.create(model="fast", file=SOUND, stream=True))
    assert [got[0].segment_id, got[1].id, got[2].segment_id, got[3].id] == [
        "seg_0",
        "seg_0",
        "seg_1",
        "seg_1",
    ]
    assert (got[1].speaker, got[1].text, got[1].end) == ("A", "Hello there.", 0.5)
    # OpenAI's types know no seconds at the end of a stream.
    assert got[4].usage is None


@pytest.mark.parametrize("base_name", ["timestamp_granularities", "timestamp_granularities[]"])
def test_curl_may_leave_out_the_brackets(upstream, studio, studio_http, base_name):
    upstream.script(studio.raw, answer(VERBOSE))
    response = ask(studio_http, response_format="verbose_json", **{base_name: ["word"]})
    assert response.json()["words"]
    assert upstream.last(studio.raw).fields(base_name) == ["word"]


@pytest.mark.parametrize("value", ["true", "True", "1"])
def test_every_spelling_of_true_streams(upstream, studio, studio_http, value):
    upstream.script(studio.raw, stream(*TRANSCRIPT_EVENTS, done=False))
    assert events(ask(studio_http, stream=value).text)[-1]["text"] == "Hello there."
    assert upstream.last(studio.raw).fields("stream") == ["true"]


@pytest.mark.parametrize("value", ["false", "False", "0", ""])
def test_every_spelling_of_false_does_not(upstream, studio, studio_http, value):
    upstream.script(studio.raw, answer(TEXT))
    assert ask(studio_http, stream=value).json() == TEXT
    assert upstream.last(studio.raw).fields("stream") == []


# The SDK itself calls the route out of date.
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_the_sdk_gets_translations(upstream, studio, sdk):
    upstream.script(studio.raw, answer(TEXT))
    assert sdk.audio.translations.create(model="fast", file=SOUND, prompt="Hm.").text == "Hello there."
    assert upstream.last(studio.raw).path == "/v1/audio/translations"
    upstream.script(studio.raw, answer({**VERBOSE, "task": "own word"}))
    got = sdk.audio.translations.create(model="fast", file=SOUND, response_format="verbose_json")
    assert (got.text, got.duration, got.language) == ("Hello there.", 0.5, "english")
    upstream.script(studio.raw, answer(SRT, content_type="text/plain"))
    assert sdk.audio.translations.create(model="fast", file=SOUND, response_format="srt") == SRT


def test_a_translation_does_not_stream(upstream, studio, studio_http):
    upstream.script(studio.raw, answer(TEXT))
    assert ask(studio_http, "translations", stream="true").json() == TEXT
    assert upstream.last(studio.raw).fields("stream") == []


def test_the_task_is_the_routes_own(upstream, studio, studio_http):
    upstream.script(studio.raw, answer({**VERBOSE, "task": "own word"}))
    for route, task in (("transcriptions", "transcribe"), ("translations", "translate")):
        assert ask(studio_http, route, response_format="verbose_json").json()["task"] == task


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"response_format": "mid"}, "response_format"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": "2"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"stream": "maybe"}, "stream"),
    ],
    ids=str,
)
def test_a_bad_parameter_is_named(upstream, studio, studio_http, fields, param):
    upstream.script(studio.raw)
    assert envelope(ask(studio_http, **fields), 400)["param"] == param
    assert upstream.received(studio.raw) == []


def test_translation_has_no_speakers(upstream, studio, studio_http):
    upstream.script(studio.raw)
    response = ask(studio_http, "translations", response_format="diarized_json")
    assert envelope(response, 400)["param"] == "response_format"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({**TEXT, "duration": 2.5}, (2500, 0, 0, False)),
        ({**TEXT, "usage": HEARD}, (3000, 0, 0, False)),
        ({**TEXT, "usage": TOKENS}, (500, 14, 6, False)),
        (TEXT, (500, 0, 0, True)),
        ({**TEXT, "duration": -1, "usage": {"type": "duration", "seconds": 1e300}}, (500, 0, 0, True)),
        ({**TEXT, "usage": "own words"}, (500, 0, 0, True)),
    ],
    ids=["duration", "seconds", "tokens", "nothing", "absurd", "text"],
)
def test_the_length_of_the_sound_is_metered(upstream, studio, studio_http, record, said, expected):
    upstream.script(studio.raw, answer(said))
    row = record(ask(studio_http).headers["x-request-id"])
    assert row.route == "/audio/transcriptions"
    assert (row.audio_ms, row.input_tokens, row.output_tokens, row.estimated) == expected


def test_the_length_is_metered_for_text_and_events_too(upstream, studio, studio_http, record):
    upstream.script(studio.raw, answer(SRT, content_type="text/plain"))
    row = record(ask(studio_http, response_format="srt").headers["x-request-id"])
    assert (row.audio_ms, row.estimated) == (500, True)
    upstream.script(studio.raw, stream(*TRANSCRIPT_EVENTS))
    row = record(ask(studio_http, stream="true").headers["x-request-id"])
    assert (row.audio_ms, row.input_tokens, row.output_tokens, row.streamed) == (500, 14, 6, True)
    assert not row.estimated


@pytest.mark.parametrize(
    "ending",
    [
        {"done": False},
        {"done": True},
        {"done": False, "then": answers.CUT},
        {"done": False, "then": answers.RESET},
        {"done": False, "raw": b'data: {"type": "transcript.text.do', "then": answers.CUT},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "last",
    [
        (),
        (typed("transcript.text.done"),),
        (typed("transcript.text.delta", delta=5),),
        (answers.error_body(),),
    ],
    ids=["cut", "no-text", "odd-delta", "error"],
)
def test_events_that_break_off_say_so(upstream, studio, studio_http, last, ending):
    upstream.script(studio.raw, stream(*TRANSCRIPT_EVENTS[:2], *last, delay=0.01, **ending))
    response = ask(studio_http, stream="true")
    got = events(response.text)
    assert "".join(one["delta"] for one in got[:-1]) == "Hello there."
    assert got[-1]["error"]["code"] == "upstream_error"
    assert "own words" not in response.text


@pytest.mark.parametrize("form", ["json", "text", "verbose_json", "diarized_json"])
@pytest.mark.parametrize(
    "play",
    [
        answer({}),
        answer({"text": 5}),
        answer({"text": None}),
        answer([]),
        answer(answers.error_body()),
        answers.html(200),
        answers.truncated(TEXT, 4),
        answers.closed(),
    ],
)
def test_response_without_a_transcript_is_502(upstream, studio, studio_http, play, form):
    upstream.script(studio.raw, play)
    envelope(ask(studio_http, response_format=form), 502, "upstream_error")


def test_a_transcript_as_text_may_take_longer_than_a_stream_may_be_silent(gateway, upstream):
    world = factories.world(
        upstream.base_url, capabilities=("transcribe", "chat"), first_byte_timeout=0.2, total_timeout=5
    )
    upstream.script(world.raw, answer(SRT, content_type="text/plain", wait=0.6))
    response = PLAIN.post(
        f"{gateway.base_url}/audio/transcriptions",
        data={"model": "fast", "response_format": "srt"},
        files={"file": SOUND},
        headers=world.authorization,
    )
    assert response.text == SRT
