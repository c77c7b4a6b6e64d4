"""Sample provider responses and upload files for all routes except chat."""

import io
import struct
import wave
import zlib
from base64 import b64encode
from typing import Any

from tests.answers import event, stream
from tests.upstream import Play


def wav(seconds: float = 0.5, rate: int = 8000) -> bytes:
    """Silence, as a file that every decoder takes."""
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(2 * int(seconds * rate)))
    return held.getvalue()


def png(grey: int = 128) -> bytes:
    """One grey pixel."""

    def block(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + block(b"IHDR", header)
        + block(b"IDAT", zlib.compress(bytes([0, grey])))
        + block(b"IEND", b"")
    )


WAV = wav()
PNG = png()
JPEG = b"\xff\xd8\xff\xe0" + bytes(20)
WEBP = b"RIFF\x20\x00\x00\x00WEBPVP8 " + bytes(20)
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
SOUND = ("hello.wav", WAV, "audio/wav")
PICTURE = ("cat.png", PNG, "image/png")


def base64(data: bytes) -> str:
    return b64encode(data).decode()


def base64_floats(*numbers: float) -> str:
    return base64(struct.pack(f"<{len(numbers)}f", *numbers))


def embedded(*vectors: Any, **more: Any) -> dict[str, Any]:
    """A list of embeddings; more keywords are top-level fields."""
    data = [{"object": "embedding", "index": at, "embedding": one} for at, one in enumerate(vectors)]
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    return {"object": "list", "data": data, "model": "raw", "usage": usage, **more}


def text_choice(text: str = "Once upon a time.", index: int = 0, **more: Any) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": "stop", **more}


def text_completion(*choices: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": "cmpl-upstream",
        "object": "text_completion",
        "created": 1790000000,
        "model": "raw",
        "choices": list(choices or [text_choice()]),
        **more,
    }


SEGMENT = {
    "id": 0, "seek": 0, "start": 0.0, "end": 0.5, "text": "Hello there.", "tokens": [50364, 2425],
    "temperature": 0.0, "avg_logprob": -0.2, "compression_ratio": 0.9, "no_speech_prob": 0.01,
}  # fmt: skip
WORD = {"word": "Hello", "start": 0.0, "end": 0.2}
SPOKEN = {"id": "seg_upstream", "start": 0.0, "end": 0.5, "text": "Hello there.", "speaker": "A",
          "type": "transcript.text.segment"}  # fmt: skip
HEARD = {"type": "duration", "seconds": 3}
TOKENS = {
    "type": "tokens", "input_tokens": 14, "output_tokens": 6, "total_tokens": 20,
    "input_token_details": {"audio_tokens": 10, "text_tokens": 4},
}  # fmt: skip
VERBOSE = {
    "task": "transcribe", "language": "english", "duration": 0.5, "text": "Hello there.",
    "segments": [SEGMENT], "words": [WORD], "usage": HEARD,
}  # fmt: skip
DIARIZED = {
    "task": "transcribe",
    "duration": 0.5,
    "text": "Hello there.",
    "segments": [SPOKEN],
    "usage": TOKENS,
}
SRT = "1\n00:00:00,000 --> 00:00:00,500\nHello there.\n\n"
VTT = "WEBVTT\n\n00:00:00.000 --> 00:00:00.500\nHello there. 東京\n\n"


def typed(kind: str, *, named: bool = False, **fields: Any) -> bytes:
    """An event that says by its type what it is."""
    name = f"event: {kind}\n".encode() if named else b""
    return name + event({"type": kind, **fields})


TRANSCRIPT_EVENTS = (
    typed("transcript.text.delta", delta="Hello "),
    typed("transcript.text.delta", delta="there."),
    typed("transcript.text.done", text="Hello there.", usage=TOKENS),
)
SPEECH_USAGE = {"input_tokens": 3, "output_tokens": 9, "total_tokens": 12}
SPEECH_EVENTS = (
    typed("speech.audio.delta", audio=base64(b"first ")),
    typed("speech.audio.delta", audio=base64(b"second")),
    typed("speech.audio.done", usage=SPEECH_USAGE),
)
SAID = {"size": "1024x1024", "quality": "low", "background": "opaque", "output_format": "webp"}
IMAGE_USAGE = {
    "input_tokens": 8, "output_tokens": 100, "total_tokens": 108,
    "input_tokens_details": {"text_tokens": 8, "image_tokens": 0},
}  # fmt: skip


def image_events(prefix: str = "image_generation", partial: int = 2) -> list[bytes]:
    """Partial images of different greys, and the last one."""
    shown = [
        typed(f"{prefix}.partial_image", named=True, b64_json=base64(png(at)), partial_image_index=at,
              created_at=1790000000, **SAID)
        for at in range(partial)
    ]  # fmt: skip
    done = typed(f"{prefix}.completed", named=True, b64_json=base64(PNG), created_at=1790000000,
                 usage=IMAGE_USAGE, **SAID)  # fmt: skip
    return [*shown, done]


def pictures(*images: bytes, **more: Any) -> dict[str, Any]:
    return {
        "created": 1790000000,
        "data": [{"b64_json": base64(one)} for one in images or (PNG,)],
        "usage": IMAGE_USAGE,
        **more,
    }


def moderated(flagged: bool = False, **more: Any) -> dict[str, Any]:
    """One result of a moderation, with two of the categories."""
    return {
        "flagged": flagged,
        "categories": {"violence": flagged, "hate": False},
        "category_scores": {"violence": 0.9 if flagged else 0.001, "hate": 0.0001},
        "category_applied_input_types": {"violence": ["text", "image"], "hate": ["text"]},
        **more,
    }


def reranked(*results: tuple[Any, Any], **more: Any) -> dict[str, Any]:
    """A ranking: the index and the score of each result."""
    return {
        "id": "rerank-upstream",
        "model": "raw-model-of-the-provider",
        "results": [{"index": index, "relevance_score": score} for index, score in results],
        "usage": {"total_tokens": 12},
        **more,
    }


def sound(*pieces: bytes, content_type: str = "audio/mpeg", **more: Any) -> Play:
    """Speech that comes in pieces."""
    return stream(*pieces, content_type=content_type, done=False, **more)
