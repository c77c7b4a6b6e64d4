"""Speech and transcriptions by the local models, each checked with the other."""

import base64
import io
import json
import random
import re
import struct
import threading
import time
import wave
from pathlib import Path

import httpx
import openai
import pytest

from tests.local_models.test_errors import assert_envelope

TRANSCRIBER = "whisper-tiny-en"
SYNTHESIZER = "espeak-ng"
SENTENCES = [
    "She sold her old car and bought a small house near the river.",
    "I would like a cup of coffee with milk and sugar.",
    "Children were playing football in the park behind the school.",
    "Can you tell me where the nearest bank is?",
    "They walked along the beach until the sun went down.",
]
FORMATS = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
}


def speak(client, text, **parameters):
    given = {"model": SYNTHESIZER, "voice": "alloy", "input": text, **parameters}
    return client.audio.speech.create(**given).content


def transcribe(client, sound, name="sound.mp3", **parameters):
    return client.audio.transcriptions.create(model=TRANSCRIBER, file=(name, sound), **parameters)


def words(text):
    """The words of a text without signs and capitals."""
    return re.sub(r"[^a-z0-9' ]", "", text.lower().replace("-", " ")).split()


def word_errors(said, transcript):
    """How many words were changed, added or lost: the edit distance."""
    said, transcript = words(said), words(transcript)
    distances = list(range(len(transcript) + 1))
    for row, expected in enumerate(said, 1):
        previous, distances = distances, [row]
        for column, word in enumerate(transcript, 1):
            distances.append(
                min(previous[column] + 1, distances[-1] + 1, previous[column - 1] + (expected != word))
            )
    return distances[-1]


@pytest.fixture(scope="module")
def speech(client):
    """A minute of speech, longer than what the model hears at once."""
    return speak(client, " ".join(SENTENCES * 2), response_format="opus")


@pytest.fixture(scope="module")
def transcript(client, speech):
    """Everything that can be known of it."""
    granularities = ["word", "segment"]
    return transcribe(
        client, speech, "a.ogg", response_format="verbose_json", timestamp_granularities=granularities
    )


@pytest.fixture(scope="module")
def short(client):
    return speak(client, SENTENCES[0])


def test_speech_is_transcribed_back_to_its_text(client):
    errors = sum(
        word_errors(sentence, transcribe(client, speak(client, sentence)).text) for sentence in SENTENCES
    )
    assert errors / sum(len(words(sentence)) for sentence in SENTENCES) <= 0.1


@pytest.mark.parametrize("form", FORMATS)
def test_every_audio_format_can_be_transcribed(client, form):
    response = client.audio.speech.create(
        model=SYNTHESIZER, voice="alloy", input=SENTENCES[0], response_format=form
    )
    assert response.response.headers["content-type"] == FORMATS[form]
    assert word_errors(SENTENCES[0], transcribe(client, response.content, f"sound.{form}").text) <= 2


def test_pcm_is_24_khz_16_bit_mono(client):
    """24 kHz, 16 bits, one channel: the length tells, and the transcript, once there is a header."""
    sound = speak(client, SENTENCES[0], response_format="pcm")
    file = io.BytesIO()
    with wave.open(file, "wb") as header:
        header.setnchannels(1)
        header.setsampwidth(2)
        header.setframerate(24_000)
        header.writeframes(sound)
    assert 4 < len(sound) / 48_000 < 8
    assert word_errors(SENTENCES[0], transcribe(client, file.getvalue(), "sound.wav").text) <= 2


@pytest.mark.parametrize(("container", "codec"), [("mp4", "aac"), ("webm", "libopus"), ("mov", "pcm_s16le")])
def test_containers_of_recorders_can_be_transcribed(client, container, codec):
    import av

    samples = speak(client, SENTENCES[0], response_format="wav")
    file = io.BytesIO()
    with av.open(io.BytesIO(samples)) as source, av.open(file, "w", format=container) as target:
        stream = target.add_stream(codec, rate=48_000)
        stream.layout = "stereo"
        stream.codec_context.open()
        resampler = av.AudioResampler(
            stream.format.name, "stereo", 48_000, frame_size=stream.codec_context.frame_size or None
        )
        for frame in [*source.decode(audio=0), None]:
            for resampled in resampler.resample(frame):
                target.mux(stream.encode(resampled))
        target.mux(stream.encode(None))
    assert word_errors(SENTENCES[0], transcribe(client, file.getvalue(), f"sound.{container}").text) <= 2


def test_wav_header_holds_the_length(client):
    with wave.open(io.BytesIO(speak(client, "Hello there.", response_format="wav"))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        assert 0.5 < file.getnframes() / 24_000 < 3
        assert len(file.readframes(10**9)) == file.getnframes() * 2


def test_speed_scales_the_duration(client):
    def seconds(speed):
        return len(speak(client, SENTENCES[0], response_format="pcm", speed=speed)) / 48_000

    normal = seconds(1)
    assert seconds(2) == pytest.approx(normal / 2, rel=0.1)
    assert seconds(4) == pytest.approx(normal / 4, rel=0.1)
    assert seconds(0.25) == pytest.approx(normal * 4, rel=0.1)


def test_voices_differ_and_espeak_voices_are_accepted(client):
    said = [
        speak(client, "Hello.", voice=voice, response_format="pcm")
        for voice in ("alloy", "nova", "onyx", "de")
    ]
    assert len(set(said)) == 4
    assert speak(client, "Hello.", voice={"id": "alloy"})


def test_speech_streams_as_events(http):
    body = {"model": SYNTHESIZER, "voice": "echo", "input": SENTENCES[0], "stream_format": "sse"}
    response = http.post("/v1/audio/speech", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]
    assert [event["type"] for event in events[-2:]] == ["speech.audio.delta", "speech.audio.done"]
    assert len(events) > 5
    assert b"".join(base64.b64decode(event["audio"]) for event in events[:-1]).startswith(b"ID3")
    used = events[-1]["usage"]
    assert used["input_tokens"] == len(words(SENTENCES[0])) + 1
    assert used["total_tokens"] == used["input_tokens"] + used["output_tokens"]
    assert 4 < used["output_tokens"] / 50 < 8


def test_long_recording_is_transcribed_to_its_end(transcript):
    said = " ".join(SENTENCES * 2)
    assert word_errors(said, transcript.text) <= 0.1 * len(words(said))
    assert transcript.duration > 40
    assert (transcript.task, transcript.language) == ("transcribe", "english")

    assert [segment.id for segment in transcript.segments] == list(range(len(transcript.segments)))
    assert len({segment.seek for segment in transcript.segments}) > 1
    assert all(
        one.end <= other.start
        for one, other in zip(transcript.segments, transcript.segments[1:], strict=False)
    )
    assert all(segment.start < segment.end <= transcript.duration for segment in transcript.segments)
    assert "".join(segment.text for segment in transcript.segments).strip() == transcript.text
    assert set(transcript.segments[0].model_dump()) >= {
        *("id", "seek", "start", "end", "text"),
        *("tokens", "temperature", "avg_logprob", "compression_ratio", "no_speech_prob"),
    }

    assert [word.word.lower() for word in transcript.words] == words(transcript.text)
    assert all(
        one.end <= other.start for one, other in zip(transcript.words, transcript.words[1:], strict=False)
    )
    sugar = next(word for word in transcript.words if word.word == "sugar")
    coffee = next(segment for segment in transcript.segments if "sugar" in segment.text)
    assert coffee.start <= sugar.start < sugar.end <= coffee.end


def test_word_timestamps_match_the_audio(client):
    silence = bytes(48_000 * 3)
    parts = [speak(client, sentence, response_format="pcm") for sentence in SENTENCES[:2]]
    file = io.BytesIO()
    with wave.open(file, "wb") as header:
        header.setparams((1, 2, 24_000, 0, "NONE", ""))
        header.writeframes(parts[0] + silence + parts[1])
    transcript = transcribe(
        client,
        file.getvalue(),
        "sound.wav",
        response_format="verbose_json",
        timestamp_granularities=["word"],
    )
    ends = len(parts[0]) / 48_000
    [river] = [word for word in transcript.words if word.word == "river"]
    [coffee] = [word for word in transcript.words if word.word == "coffee"]
    assert ends - 1.5 < river.start < ends
    assert ends + 3 < coffee.start < ends + 3 + len(parts[1]) / 48_000


def test_subtitles_are_well_formed(client):
    speech = speak(client, " ".join(SENTENCES[:2]))
    srt = transcribe(client, speech, response_format="srt")
    cue = re.compile(r"(\d+)\n\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}\n\S.*\n")
    cues = [cue.fullmatch(block + "\n") for block in srt.strip("\n").split("\n\n")]
    assert all(cues)
    assert [int(match[1]) for match in cues] == [1, 2]

    vtt = transcribe(client, speech, response_format="vtt")
    assert vtt.startswith("WEBVTT\n\n")
    assert re.search(r"\n00:00:\d\d\.\d{3} --> 00:00:\d\d\.\d{3}\n\S", vtt)


def test_text_format_is_plain_text(http, short):
    response = http.post(
        "/v1/audio/transcriptions",
        data={"model": TRANSCRIBER, "response_format": "text"},
        files={"file": ("sound.mp3", short)},
    )
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert word_errors(SENTENCES[0], response.text) <= 2


def test_stream_equals_the_complete_transcript(client, speech, transcript):
    events = list(transcribe(client, speech, "sound.ogg", stream=True))
    assert {event.type for event in events[:-1]} == {"transcript.text.delta"}
    assert len(events) > 3
    assert events[-1].type == "transcript.text.done"
    assert "".join(event.delta for event in events[:-1]) == events[-1].text
    assert events[-1].text == transcript.text
    assert events[-1].usage.total_tokens == events[-1].usage.input_tokens + events[-1].usage.output_tokens


def test_transcription_usage_is_seconds_of_audio(client, short):
    used = transcribe(client, short).usage
    assert used.type == "duration"
    assert 4 <= used.seconds <= 8


def test_prompt_temperature_and_language_are_accepted(client, short):
    transcript = transcribe(
        client,
        short,
        prompt="A story about a river.",
        temperature=0.2,
        language="en",
        response_format="verbose_json",
    )
    assert "river" in transcript.text
    assert transcript.segments[0].temperature == pytest.approx(0.2)
    assert transcript.words is None


def test_translation_of_english_equals_the_transcription(http, short):
    response = http.post(
        "/v1/audio/translations",
        data={"model": TRANSCRIBER, "response_format": "verbose_json"},
        files={"file": ("sound.mp3", short)},
    ).json()
    assert response["task"] == "translate"
    assert word_errors(SENTENCES[0], response["text"]) <= 2


def test_silence_is_an_empty_transcript(client):
    file = io.BytesIO()
    with wave.open(file, "wb") as header:
        header.setparams((1, 2, 8_000, 0, "NONE", ""))
        header.writeframes(bytes(2 * 8_000 * 120))
    transcript = transcribe(client, file.getvalue(), "sound.wav", response_format="verbose_json")
    assert (transcript.text, transcript.segments, transcript.duration) == ("", [], 120)


def riff(data):
    """A WAV header, and samples that may not be there."""
    return (
        b"RIFF"
        + struct.pack("<I", 36 + len(data))
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)
        + b"data"
        + struct.pack("<I", len(data))
        + data
    )


@pytest.mark.parametrize(
    "sound",
    [
        b"",
        b"This is no sound.",
        b"\0" * 5000,
        riff(b""),
        riff(b"\0" * 100),
        b"\x89PNG\r\n\x1a\n" + b"\0" * 200,
        b"fLaC" + b"\xff" * 500,
    ],
    ids=["empty", "text", "zeros", "no samples", "too short", "picture", "damaged"],
)
def test_undecodable_audio_is_400(http, sound):
    response = http.post(
        "/v1/audio/transcriptions", data={"model": TRANSCRIBER}, files={"file": ("sound.mp3", sound)}
    )
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "file"


@pytest.mark.parametrize("form", ["mp3", "opus", "flac", "wav"])
def test_damaged_file_is_transcribed_or_400(client, http, form):
    whole = speak(client, "Hello there.", response_format=form)
    chance = random.Random(7)
    for damages in (1, 20):
        sound = bytearray(whole)
        for _ in range(damages):
            sound[chance.randrange(min(len(sound), 400))] = chance.randrange(256)
        response = http.post(
            "/v1/audio/transcriptions", data={"model": TRANSCRIBER}, files={"file": ("a", bytes(sound))}
        )
        assert response.status_code in (200, 400)
    assert transcribe(client, whole[: len(whole) * 2 // 3], f"sound.{form}").text


@pytest.mark.parametrize("kind", ["m3u8", "concat"])
def test_playlist_is_refused_and_opens_no_file(http, client, tmp_path, kind):
    target = tmp_path / "secret.wav"
    target.write_bytes(speak(client, "Hello there.", response_format="wav"))
    playlists = {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{target}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile {target}\n",
    }
    files = {"file": (f"list.{kind}", playlists[kind].encode())}
    assert_envelope(
        http.post("/v1/audio/transcriptions", data={"model": TRANSCRIBER}, files=files),
        400,
        "unsupported_format",
        "file",
    )


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": "2"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"language": "de"}, "language"),
        ({"stream": "maybe"}, "stream"),
        ({"timestamp_granularities[]": "letter"}, "timestamp_granularities"),
    ],
)
def test_invalid_form_field_is_400_with_its_name(http, short, fields, param):
    data = {name: value for name, value in {"model": TRANSCRIBER, **fields}.items() if value is not None}
    response = http.post("/v1/audio/transcriptions", data=data, files={"file": ("sound.mp3", short)})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_malformed_form_is_refused(http):
    path = "/v1/audio/transcriptions"
    form = {"content-type": "multipart/form-data; boundary=x"}
    assert_envelope(http.post(path, json={"model": TRANSCRIBER}), 400, "invalid_form")
    assert_envelope(http.post(path, content=b"nonsense", headers=form), 400, "invalid_form")
    cut = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nabc'
    assert_envelope(http.post(path, content=cut, headers=form), 400, "invalid_form")
    no_boundary = {"content-type": "multipart/form-data"}
    assert_envelope(http.post(path, content=cut, headers=no_boundary), 400, "invalid_form")
    without = http.post(path, data={"model": TRANSCRIBER}, files={"other": ("a", b"b")})
    assert_envelope(without, 400, "missing_required_parameter", "file")
    other = http.post(path, data={"model": "other"}, files={"file": ("a", b"b")})
    assert_envelope(other, 404, "model_not_found", "model")
    large = http.post(path, data={"model": TRANSCRIBER}, files={"file": ("a", bytes(33 * 2**20))})
    assert_envelope(large, 413, "request_too_large")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": " "}, "input"),
        ({"input": "a" * 4097}, "input"),
        ({"input": 5}, "input"),
        ({"voice": None}, "voice"),
        ({"voice": "../../etc/passwd"}, "voice"),
        ({"voice": "nobody"}, "voice"),
        ({"voice": 5}, "voice"),
        ({"response_format": "midi"}, "response_format"),
        ({"speed": 0.1}, "speed"),
        ({"speed": "fast"}, "speed"),
        ({"stream_format": "ws"}, "stream_format"),
    ],
)
def test_invalid_speech_field_is_400_with_its_name(http, fields, param):
    body = {"model": SYNTHESIZER, "voice": "alloy", "input": "Hello", **fields}
    response = http.post("/v1/audio/speech", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_markup_and_nul_bytes_are_read_as_text(client):
    assert "river" in transcribe(client, speak(client, "<b>The river</b>\0 flows down to the sea.")).text


def test_concurrent_speech_requests_do_not_mix(client):
    transcript = {}

    def talk(sentence):
        transcript[sentence] = transcribe(client, speak(client, sentence)).text

    threads = [threading.Thread(target=talk, args=(sentence,)) for sentence in SENTENCES[:3]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(word_errors(said, text) <= 3 for said, text in transcript.items())
    assert len(transcript) == 3


def test_disconnecting_client_frees_the_transcription_model(models, client, http):
    long = speak(client, " ".join(SENTENCES * 12), response_format="opus")
    for _ in range(2):
        with pytest.raises(httpx.ReadTimeout):
            http.post(
                "/v1/audio/transcriptions",
                data={"model": TRANSCRIBER},
                files={"file": ("sound.ogg", long)},
                timeout=httpx.Timeout(30, read=0.5),
            )
    started = time.monotonic()
    with pytest.raises(openai.BadRequestError):
        transcribe(client, b"nonsense")
    assert time.monotonic() - started < 15


def test_large_upload_does_not_grow_memory(models, client):
    def resident():
        status = Path(f"/proc/{models.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) // 1024

    sound = riff(bytes(24 * 2**20))
    transcribe(client, riff(bytes(32_000 * 60)), "sound.wav")
    before = resident()
    assert transcribe(client, sound, "sound.wav").text == ""
    assert resident() - before < 20


def test_audio_content_is_not_logged(models, client, http):
    secret = "Rhododendron"
    transcribe(client, speak(client, f"The {secret} is in flower."), f"{secret}.mp3", prompt=secret)
    http.post(
        "/v1/audio/transcriptions",
        data={"model": TRANSCRIBER, "prompt": secret},
        files={"file": (f"{secret}.mp3", f"{secret} is no sound".encode())},
    )
    http.post("/v1/audio/speech", json={"model": SYNTHESIZER, "voice": secret, "input": secret})
    log = models.log.read_text()
    assert "POST /v1/audio/speech: 400" in log
    assert secret not in log
    assert f"loaded {TRANSCRIBER} in " in log
    assert log.count(f"loading {TRANSCRIBER}") == 1
