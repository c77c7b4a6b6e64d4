"""The shapes of the routes under ``/images`` (images/create, createEdit, createVariation)."""

import time
from base64 import b64decode
from typing import Any

from inference.shapes.checks import Check, integer, missing, of_type, one_of, run
from inference.shapes.typed_events import Fields, TypedWriter, among, like, pick, usage

JSON = dict[str, Any]

OUTPUT_FORMATS = ("png", "jpeg", "webp")
CHECKS: dict[str, Check] = {
    "background": of_type(str),
    "moderation": of_type(str),
    "n": integer(1, 10),
    "output_compression": integer(0, 100),
    "output_format": one_of(OUTPUT_FORMATS),
    "partial_images": integer(0, 3),
    "quality": of_type(str),
    "response_format": one_of(("url", "b64_json")),
    "size": of_type(str),
    "stream": of_type(bool),
    "style": of_type(str),
    "user": of_type(str),
}
_ANSWER: Fields = {
    "background": among("auto", "opaque", "transparent"),
    "output_format": among(*OUTPUT_FORMATS),
    "quality": among("auto", "low", "medium", "high", "standard", "hd"),
    "size": like(r"auto|\d{2,5}x\d{2,5}"),
}
_EVENT: Fields = {"b64_json": str, "created_at": int, **_ANSWER}


def check_generation(body: JSON) -> None:
    """Refuse what OpenAI refuses, naming the parameter."""
    if body.get("prompt") is None:
        raise missing("prompt")
    of_type(str)("prompt", body["prompt"])
    run(CHECKS, body)


def images(answer: JSON) -> JSON:
    """Return the answer with each image as base64; what is none is left out."""
    data = []
    for given in answer["data"]:
        image = pick(given, {"b64_json": str, "revised_prompt": str})
        if "b64_json" in image:
            data.append(image)
    built: JSON = {"created": int(time.time()), "data": data, **pick(answer, _ANSWER)}
    if (used := usage(answer.get("usage"))) is not None:
        built["usage"] = used
    return built


def image_writer(prefix: str) -> TypedWriter:
    """Return what writes streamed images; ``prefix`` is ``image_generation`` or ``image_edit``."""
    types = {f"{prefix}.partial_image": {**_EVENT, "partial_image_index": int}, f"{prefix}.completed": _EVENT}
    return TypedWriter(types, frozenset({f"{prefix}.completed"}), named=True)


#: How each kind of image begins.
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": ("png", "image/png"),
    b"\xff\xd8\xff": ("jpg", "image/jpeg"),
    b"RIFF": ("webp", "image/webp"),
}


def decode(b64_json: str) -> tuple[bytes, str] | None:
    """Return the bytes of an image and the ending of its name; None for what is no image."""
    try:
        data = b64decode(b64_json, validate=True)
    except ValueError:
        return None
    for signature, (ending, _) in _SIGNATURES.items():
        if data.startswith(signature):
            return data, ending
    return None


def media_type(ending: str) -> str:
    """Return the media type for the ending of a name."""
    return dict(_SIGNATURES.values()).get(ending, "application/octet-stream")
