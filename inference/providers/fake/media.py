"""Fake speech, transcripts and images."""

import struct
from base64 import b64encode
from collections.abc import Iterator
from math import pi, sin
from zlib import compress, crc32

from gtapi.json_types import JSON
from inference.audio_duration import length_ms
from inference.providers.fake.request import FakeRequest

RATE = 24_000
SECONDS_PER_WORD = 0.3
MAX_SPEECH_SECONDS = 10.0
#: Size of a piece of speech, in bytes.
PIECE_BYTES = 16 * 1024
#: A frame of silence in MP3: MPEG 2, layer III, 24 kHz, 64 kbit/s, mono.
_MP3_FRAME = b"\xff\xf3\x84\xc4" + bytes(188)
_MP3_SAMPLES = 576
#: Width and height of an image, in pixels.
IMAGE_PIXELS = 64


def speech(request: FakeRequest) -> Iterator[bytes] | None:
    """Return the pieces of a tone as WAV or PCM, or of silence as MP3; None for other formats."""
    seconds = min(len(str(request.params.get("input")).split()) * SECONDS_PER_WORD, MAX_SPEECH_SECONDS)
    samples = int(RATE * seconds)
    kind = request.params.get("response_format") or "mp3"
    if kind == "mp3":
        data = _MP3_FRAME * (samples // _MP3_SAMPLES + 1)
    elif kind in ("wav", "pcm"):
        data = (_wav_header(samples * 2) if kind == "wav" else b"") + _tone(samples)
    else:
        return None
    return (data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES))


def speech_events(request: FakeRequest) -> Iterator[JSON] | None:
    """Return the events of streamed speech; None for formats that it does not have."""
    pieces = speech(request)
    if pieces is None:
        return None

    def events() -> Iterator[JSON]:
        for piece in pieces:
            yield {"type": "speech.audio.delta", "audio": b64encode(piece).decode()}
        count = len(str(request.params.get("input")).split())
        used = {"input_tokens": count, "output_tokens": count, "total_tokens": 2 * count}
        yield {"type": "speech.audio.done", "usage": used}

    return events()


def _tone(samples: int) -> bytes:
    # One period of 240 Hz is 100 samples.
    period = struct.pack("<100h", *(int(8000 * sin(2 * pi * at / 100)) for at in range(100)))
    return (period * (samples // 100 + 1))[: samples * 2]


def _wav_header(size: int) -> bytes:
    return struct.pack(
        "<4sI8sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVEfmt ", 16, 1, 1, RATE, RATE * 2, 2, 16, b"data", size
    )


def transcript(request: FakeRequest) -> JSON:
    """Return a transcript with one segment, in the shape of every JSON format."""
    seconds = length_ms(request.files[0].path) / 1000
    text = request.options.reply or f"This is a fake transcript of {seconds:.1f} seconds of audio."
    step = seconds / len(text.split() or "x")
    return {
        "text": text,
        "language": "english",
        "duration": seconds,
        "segments": [{"id": 0, "start": 0.0, "end": seconds, "text": text, "speaker": "A"}],
        "words": [
            {"word": word, "start": round(at * step, 3), "end": round((at + 1) * step, 3)}
            for at, word in enumerate(text.split())
        ],
        "usage": {"type": "duration", "seconds": seconds},
    }


def transcript_text(request: FakeRequest) -> str:
    """Return a transcript as text, or as subtitles in SRT or WebVTT."""
    whole = transcript(request)
    kind = request.params.get("response_format")
    if kind not in ("srt", "vtt"):
        return f"{whole['text']}\n"
    point = "," if kind == "srt" else "."
    end = f"{int(whole['duration']) // 60:02}:{whole['duration'] % 60:06.3f}".replace(".", point)
    cue = f"00:00:00{point}000 --> 00:{end}\n{whole['text']}\n"
    return f"1\n{cue}" if kind == "srt" else f"WEBVTT\n\n{cue}"


def transcript_events(request: FakeRequest) -> Iterator[JSON]:
    """Yield the events of a streamed transcript."""
    whole = transcript(request)
    for at, word in enumerate(whole["text"].split()):
        yield {"type": "transcript.text.delta", "delta": word if at == 0 else f" {word}"}
    yield {"type": "transcript.text.done", "text": whole["text"], "usage": whole["usage"]}


def images(request: FakeRequest) -> JSON:
    """Return small images of one colour, which depends on the prompt."""
    count = request.number("n", default=1)
    data = [{"b64_json": _picture(request, at)} for at in range(count)]
    return {"data": data, "output_format": "png", "size": _SIZE, "usage": _image_usage(request, count)}


def image_events(request: FakeRequest) -> Iterator[JSON]:
    """Yield the events of a streamed image."""
    prefix = "image_edit" if request.operation == "image_edits" else "image_generation"
    image = {"b64_json": _picture(request, 0), "output_format": "png", "size": _SIZE}
    for index in range(request.number("partial_images", default=0)):
        yield {"type": f"{prefix}.partial_image", "partial_image_index": index, **image}
    yield {"type": f"{prefix}.completed", **image, "usage": _image_usage(request, 1)}


_SIZE = f"{IMAGE_PIXELS}x{IMAGE_PIXELS}"


def _image_usage(request: FakeRequest, count: int) -> JSON:
    words = len(str(request.params.get("prompt") or "").split())
    return {"input_tokens": words, "output_tokens": count, "total_tokens": words + count}


def _picture(request: FakeRequest, number: int) -> str:
    """Return a PNG of one colour, as base64."""
    colour = crc32(f"{request.params.get('prompt')} {number}".encode()).to_bytes(4, "big")[:3]
    rows = (b"\0" + colour * IMAGE_PIXELS) * IMAGE_PIXELS
    header = struct.pack(">IIBBBBB", IMAGE_PIXELS, IMAGE_PIXELS, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", compress(rows)), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(name, data) for name, data in parts)
    return b64encode(png).decode()


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc32(name + data))
