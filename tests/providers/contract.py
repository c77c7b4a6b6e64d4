"""The fields of OpenAI's API that responses of adapters have to have, by operation."""

from base64 import b64decode
from collections.abc import Callable
from typing import Any


def _is_image(b64_json: Any) -> bool:
    return b64decode(b64_json).startswith(b"\x89PNG")


def _images(response: Any) -> bool:
    return all(_is_image(image["b64_json"]) for image in response["data"]) and bool(response["data"])


def _transcript(response: Any) -> bool:
    return bool(response["text"]) and response["duration"] > 0 and bool(response["segments"])


#: Whole responses to the requests in `subject.REQUESTS`.
WHOLE: dict[str, Callable[[Any], bool]] = {
    "chat": lambda r: bool(r["choices"][0]["message"]["content"]) and r["usage"]["total_tokens"] > 0,
    "completions": lambda r: bool(r["choices"][0]["text"]) and r["usage"]["total_tokens"] > 0,
    "embeddings": lambda r: len(r["data"]) == 1 and bool(r["data"][0]["embedding"]),
    "moderations": lambda r: [result["flagged"] for result in r["results"]] == [True],
    "rerank": lambda r: (
        [result["index"] for result in r["results"]] == [0] and r["usage"]["total_tokens"] > 0
    ),
    "transcriptions": _transcript,
    "translations": _transcript,
    "image_generations": _images,
    "image_edits": _images,
    "image_variations": _images,
}


def is_speech(response: bytes) -> bool:
    return response.startswith(b"RIFF")


def _typed(events: list[Any], kind: str, field: str) -> bool:
    return events[-1]["type"] == kind and bool(events[-1][field])


#: Lists of events to the same requests, streamed.
STREAMED: dict[str, Callable[[list[Any]], bool]] = {
    "chat": lambda events: bool(
        "".join(c["delta"].get("content") or "" for event in events for c in event["choices"])
    ),
    "completions": lambda events: bool("".join(c["text"] for event in events for c in event["choices"])),
    "speech": lambda events: _typed(events, "speech.audio.done", "usage") and bool(events[0]["audio"]),
    "transcriptions": lambda events: _typed(events, "transcript.text.done", "text"),
    "image_generations": lambda events: _typed(events, "image_generation.completed", "b64_json"),
    "image_edits": lambda events: _typed(events, "image_edit.completed", "b64_json"),
}
