"""``POST /v1/images/generations``, ``/v1/images/edits`` and ``/v1/images/variations``."""

import base64
import re
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from local_models import sse
from local_models.endpoints.base import ModelEndpoint
from local_models.errors import InvalidRequestError
from local_models.fields import Body, boolean, choice, integer, json_body, missing_parameter, text
from local_models.images.model import GeneratedImage, ImageModel, ImageRequest, image_tokens
from local_models.multipart import receive_form
from local_models.responses import json_response
from local_models.usage import count_words, usage

MAX_PROMPT = 32_000
MAX_IMAGES = 10
MAX_SOURCES = 16
MAX_PARTIALS = 3
SIZE = re.compile(r"([0-9]{2,4})x([0-9]{2,4})")
MIN_SIDE, MAX_SIDE = 64, 2048
OUTPUT_FORMATS = ("png", "jpeg", "webp")
#: Numeric fields, which a form sends as text.
NUMBERS = ("n", "output_compression", "partial_images", "seed")
SEEDS = 2**63
#: Qualities that a streamed event may name. The images do not differ.
QUALITIES = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class ImageJob:
    """The images of one request: ``count`` images that differ by their seed."""

    image: ImageRequest
    count: int
    partials: int
    quality: str

    def images(self) -> list[ImageRequest]:
        return [replace(self.image, seed=self.image.seed + index) for index in range(self.count)]

    def describe(self, image: GeneratedImage) -> dict[str, str]:
        """Return the fields that describe an image."""
        return {
            "background": "transparent" if self.image.transparent else "opaque",
            "output_format": self.image.output_format,
            "quality": self.quality,
            "size": "{}x{}".format(*image.size),
        }

    def usage(self, images: Sequence[GeneratedImage]) -> dict[str, Any]:
        """Return the usage: words of the prompt, and patches of the source and output images."""
        source_tokens = images[0].source_tokens
        text_tokens = count_words(self.image.prompt) if self.image.prompt else 0
        output_tokens = sum(image_tokens(image.size) for image in images)
        details = {"text_tokens": text_tokens, "image_tokens": source_tokens}
        return {**usage(text_tokens + source_tokens, output_tokens), "input_tokens_details": details}


async def generate(request: web.Request, model: ImageModel) -> web.StreamResponse:
    """Generate images for a prompt."""
    body = await json_body(request, model)
    job = _job(body, text(body, "prompt", MAX_PROMPT))
    if boolean(body, "stream"):
        return await sse.stream(request, _events("image_generation", job, model), typed=True)
    return await _response(job, model)


async def edit(request: web.Request, model: ImageModel) -> web.StreamResponse:
    """Draw a prompt over images, or into the area that a mask leaves transparent."""
    async with receive_form(request, model, files=("image", "mask")) as form:
        body = form.body(numbers=NUMBERS, booleans=("stream",))
        job = _job(body, text(body, "prompt", MAX_PROMPT))
        sources = form.files.get("image", [])
        if not sources:
            raise missing_parameter("image")
        if len(sources) > MAX_SOURCES:
            raise InvalidRequestError(f"'image' must be at most {MAX_SOURCES} files.", param="image")
        mask = form.file("mask") if "mask" in form.files else None
        job = replace(job, image=replace(job.image, sources=sources, mask=mask))
        if boolean(body, "stream"):
            return await sse.stream(request, _events("image_edit", job, model), typed=True)
        return await _response(job, model)


async def vary(request: web.Request, model: ImageModel) -> web.StreamResponse:
    """Generate variations of an image."""
    async with receive_form(request, model, files=("image",)) as form:
        job = _job(form.body(numbers=NUMBERS), None)
        return await _response(replace(job, image=replace(job.image, sources=[form.file("image")])), model)


GENERATIONS = ModelEndpoint(ImageModel, generate)
EDITS = ModelEndpoint(ImageModel, edit)
VARIATIONS = ModelEndpoint(ImageModel, vary)


async def _response(job: ImageJob, model: ImageModel) -> web.Response:
    images = [await model.generate(image) for image in job.images()]
    return json_response(
        {
            "created": int(time.time()),
            "data": [{"b64_json": _base64(image)} for image in images],
            **job.describe(images[0]),
            "usage": job.usage(images),
        }
    )


async def _events(kind: str, job: ImageJob, model: ImageModel) -> AsyncGenerator[dict[str, Any], None]:
    for requested in job.images():
        for index in range(job.partials):
            partial = await model.generate(requested, (index + 1) / (job.partials + 1))
            event = _event(f"{kind}.partial_image", job, partial)
            yield {**event, "partial_image_index": index}
        image = await model.generate(requested)
        yield {**_event(f"{kind}.completed", job, image), "usage": job.usage([image])}


def _event(kind: str, job: ImageJob, image: GeneratedImage) -> dict[str, Any]:
    return {
        "type": kind,
        "b64_json": _base64(image),
        "created_at": int(time.time()),
        **job.describe(image),
    }


def _base64(image: GeneratedImage) -> str:
    return base64.b64encode(image.data).decode()


def _job(body: Body, prompt: str | None) -> ImageJob:
    if choice(body, "response_format", ("b64_json", "url"), "b64_json") == "url":
        raise InvalidRequestError(
            "This server does not store images: 'response_format' must be 'b64_json'.",
            param="response_format",
        )
    output_format = choice(body, "output_format", OUTPUT_FORMATS, "png")
    background = choice(body, "background", ("auto", "opaque", "transparent"), "auto")
    if background == "transparent" and output_format == "jpeg":
        raise InvalidRequestError("A jpeg cannot have a transparent 'background'.", param="background")
    compression = integer(body, "output_compression", 0, 100)
    quality = body.get("quality")
    return ImageJob(
        image=ImageRequest(
            prompt=prompt,
            size=_size(body),
            seed=integer(body, "seed", -SEEDS, SEEDS - 1) or 0,
            output_format=output_format,
            compression=90 if compression is None else compression,
            transparent=background == "transparent",
        ),
        count=integer(body, "n", 1, MAX_IMAGES) or 1,
        partials=integer(body, "partial_images", 0, MAX_PARTIALS) or 0,
        quality=quality if isinstance(quality, str) and quality in QUALITIES else QUALITIES[0],
    )


def _size(body: Body) -> tuple[int, int] | None:
    value = body.get("size")
    if value is None or value == "auto":
        return None
    sides = SIZE.fullmatch(value) if isinstance(value, str) else None
    if sides:
        width, height = int(sides[1]), int(sides[2])
        if min(width, height) >= MIN_SIDE and max(width, height) <= MAX_SIDE:
            return width, height
    raise InvalidRequestError(
        f"'size' must be 'auto' or a size such as '1024x1024', each side from {MIN_SIDE} to {MAX_SIDE}.",
        param="size",
    )
