"""Schema of images: OpenAI's images/create, images/createEdit and images/createVariation."""

import time
from collections.abc import Mapping
from typing import Any

from gtapi.json_types import JSON
from gtapi.validation import Validator, integer, missing, of_type, one_of, validate
from inference.schemas.typed_events import Fields, TypedWriter, among, like, pick, token_details, token_usage

OUTPUT_FORMATS = ("png", "jpeg", "webp", "gif", "svg")
_CHECKS: dict[str, Validator] = {
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
#: What a response may say about its images. OpenAI's types know no other values.
_METADATA: Fields = {
    "background": among("opaque", "transparent"),
    "output_format": among(*OUTPUT_FORMATS),
    "quality": among(*_QUALITIES),
    "size": _size,
}
#: What an event says about its image, where neither the provider nor the client does.
_DEFAULTS = {"background": "auto", "output_format": "png", "quality": "auto", "size": "auto"}
_USAGE_DETAILS = ("image_tokens", "text_tokens")


def check_generation(body: JSON) -> None:
    """Refuse what OpenAI refuses, naming the parameter."""
    if body.get("prompt") is None:
        raise missing("prompt")
    of_type(str)("prompt", body["prompt"])
    validate(_CHECKS, body)


def images(response: JSON) -> JSON:
    """Return the response with each image as base64; items without an image are left out."""
    picked = [pick(item, {"b64_json": str, "revised_prompt": str}) for item in response["data"]]
    data = [image for image in picked if image.get("b64_json")]
    built: JSON = {"created": int(time.time()), "data": data, **pick(response, _METADATA)}
    if (usage := _usage(response.get("usage"))) is not None:
        built["usage"] = usage
    return built


def _usage(reported: Any) -> JSON | None:
    usage = token_usage(reported)
    if usage is not None:
        usage["input_tokens_details"] = token_details(reported.get("input_tokens_details"), _USAGE_DETAILS)
        if isinstance(reported.get("output_tokens_details"), dict):
            usage["output_tokens_details"] = token_details(reported["output_tokens_details"], _USAGE_DETAILS)
    return usage


class _ImageEvents:
    """Builds the events of streamed images, with all that OpenAI's types require."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._metadata = _DEFAULTS | pick(params, _METADATA)
        self._partial = 0

    def _image(self, event: JSON) -> JSON | None:
        image = event.get("b64_json")
        if not isinstance(image, str) or not image:
            return None
        return {"b64_json": image, "created_at": int(time.time()), **self._metadata, **pick(event, _METADATA)}

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


def image_writer(prefix: str, params: Mapping[str, Any]) -> TypedWriter:
    """Return the writer of streamed images.

    Args:
        prefix: ``image_generation`` or ``image_edit``.
        params: the client's parameters, which take the place of what the provider does not say.
    """
    events = _ImageEvents(params)
    builds = {f"{prefix}.partial_image": events.partial, f"{prefix}.completed": events.completed}
    return TypedWriter(builds, f"{prefix}.completed", named=True)
