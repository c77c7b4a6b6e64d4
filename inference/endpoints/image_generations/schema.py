"""The shapes of the routes under ``/images`` (images/create, createEdit, createVariation)."""

import re
import time
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from gtapi.validation import Validator, integer, missing, of_type, one_of, validate
from inference.schemas.typed_events import Fields, TypedWriter, among, like, pick, token_details, token_usage

JSON = dict[str, Any]

OUTPUT_FORMATS = ("png", "jpeg", "webp", "gif", "svg")
CHECKS: dict[str, Validator] = {
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
_QUALITIES = ("low", "medium", "high", "xhigh", "max")
_size = like(r"\d{1,5}x\d{1,5}")
#: What an answer may say of its images. OpenAI's types know no other values.
_SAID: Fields = {
    "background": among("opaque", "transparent"),
    "output_format": among(*OUTPUT_FORMATS),
    "quality": among(*_QUALITIES),
    "size": _size,
}
#: What an event says of its image, where neither the provider nor the client does.
_DEFAULTS = {"background": "auto", "output_format": "png", "quality": "auto", "size": "auto"}
_USAGE_DETAILS = ("image_tokens", "text_tokens")


def check_generation(body: JSON) -> None:
    """Refuse what OpenAI refuses, naming the parameter."""
    if body.get("prompt") is None:
        raise missing("prompt")
    of_type(str)("prompt", body["prompt"])
    validate(CHECKS, body)


def images(answer: JSON) -> JSON:
    """Return the answer with each image as base64; what is none is left out."""
    picked = [pick(given, {"b64_json": str, "revised_prompt": str}) for given in answer["data"]]
    data = [image for image in picked if image.get("b64_json")]
    built: JSON = {"created": int(time.time()), "data": data, **pick(answer, _SAID)}
    if (used := _usage(answer.get("usage"))) is not None:
        built["usage"] = used
    return built


def _usage(given: Any) -> JSON | None:
    used = token_usage(given)
    if used is not None:
        used["input_tokens_details"] = token_details(given.get("input_tokens_details"), _USAGE_DETAILS)
        if isinstance(given.get("output_tokens_details"), dict):
            used["output_tokens_details"] = token_details(given["output_tokens_details"], _USAGE_DETAILS)
    return used


class _ImageEvents:
    """Builds the events of streamed images, with all that OpenAI's types ask for."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self._said = _DEFAULTS | pick(asked, _SAID)
        self._partial = 0

    def _image(self, event: JSON) -> JSON | None:
        image = event.get("b64_json")
        if not isinstance(image, str) or not image:
            return None
        return {"b64_json": image, "created_at": int(time.time()), **self._said, **pick(event, _SAID)}

    def partial(self, event: JSON) -> JSON | None:
        built = self._image(event)
        if built is not None:
            index = event.get("partial_image_index")
            built["partial_image_index"] = index if type(index) is int else self._partial
            self._partial += 1
        return built

    def completed(self, event: JSON) -> JSON | None:
        built = self._image(event)
        if built is not None:
            built["usage"] = _usage(event.get("usage")) or _usage({"input_tokens": 0})
        return built


def image_writer(prefix: str, asked: Mapping[str, Any]) -> TypedWriter:
    """Return what writes streamed images.

    Args:
        prefix: ``image_generation`` or ``image_edit``.
        asked: the client's parameters, which stand for what the provider does not say.
    """
    events = _ImageEvents(asked)
    builds = {f"{prefix}.partial_image": events.partial, f"{prefix}.completed": events.completed}
    return TypedWriter(builds, f"{prefix}.completed", named=True)


#: By ending: the media type, and how such an image begins.
_KINDS = {
    "png": ("image/png", rb"\x89PNG\r\n\x1a\n"),
    "jpg": ("image/jpeg", rb"\xff\xd8\xff"),
    "webp": ("image/webp", rb"RIFF....WEBP"),
    "gif": ("image/gif", rb"GIF8[79]a"),
    "svg": ("image/svg+xml", rb"\s*<(\?xml|!DOCTYPE|!--|svg)"),
}
_BEGINNINGS = {ending: re.compile(begins, re.DOTALL) for ending, (_, begins) in _KINDS.items()}


def decode(b64_json: str) -> tuple[bytes, str] | None:
    """Return the bytes of an image and the ending of its name; None for what is no image."""
    try:
        data = b64decode(b64_json, validate=True)
    except ValueError:
        return None
    return next(((data, ending) for ending, begins in _BEGINNINGS.items() if begins.match(data)), None)


def media_type(ending: str) -> str:
    """Return the media type for the ending of a name."""
    return _KINDS[ending][0]
