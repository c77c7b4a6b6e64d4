"""``POST /v1/images/generations``, ``/v1/images/edits`` and ``/v1/images/variations``."""

import base64
import re
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from local_models import sse
from local_models.endpoints.base import Endpoint
from local_models.errors import InvalidRequestError
from local_models.fields import Body, absent, boolean, choice, integer, json_body, text
from local_models.images.model import Painter, Picture, Wish, tokens
from local_models.multipart import received
from local_models.responses import json_response
from local_models.usage import usage, words

MAX_PROMPT = 32_000
MAX_IMAGES = 10
MAX_SOURCES = 16
MAX_PARTIALS = 3
SIZE = re.compile(r"([0-9]{2,4})x([0-9]{2,4})")
MIN_SIDE, MAX_SIDE = 64, 2048
FORMS = ("png", "jpeg", "webp")
#: Fields that a form writes as text.
NUMBERS = ("n", "output_compression", "partial_images", "seed")
SEEDS = 2**63
#: Qualities that a streamed event may name. All of them look the same here.
QUALITIES = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Order:
    """What a client orders: ``count`` pictures like ``wish``, each with a seed of its own."""

    wish: Wish
    count: int
    partials: int
    quality: str

    def wishes(self) -> list[Wish]:
        return [replace(self.wish, seed=self.wish.seed + number) for number in range(self.count)]

    def described(self, picture: Picture) -> dict[str, str]:
        """Return what the answer says of a picture beside the picture itself."""
        return {
            "background": "transparent" if self.wish.transparent else "opaque",
            "output_format": self.wish.form,
            "quality": self.quality,
            "size": "{}x{}".format(*picture.size),
        }

    def usage(self, pictures: Sequence[Picture]) -> dict[str, Any]:
        """Return the usage: words of the prompt, and patches of pictures that were read and drawn."""
        seen = pictures[0].tokens_read
        said = words(self.wish.prompt) if self.wish.prompt else 0
        drawn = sum(tokens(picture.size) for picture in pictures)
        details = {"text_tokens": said, "image_tokens": seen}
        return {**usage(said + seen, drawn), "input_tokens_details": details}


async def generate(request: web.Request, model: Painter) -> web.StreamResponse:
    """Draw a prompt."""
    body = await json_body(request, model)
    order = _order(body, text(body, "prompt", MAX_PROMPT))
    if boolean(body, "stream"):
        return await sse.stream(request, _events("image_generation", order, model), typed=True)
    return await _whole(order, model)


async def edit(request: web.Request, model: Painter) -> web.StreamResponse:
    """Draw a prompt over pictures, or into the part of one that a mask lets go."""
    async with received(request, model, files=("image", "mask")) as form:
        body = form.body(numbers=NUMBERS, booleans=("stream",))
        order = _order(body, text(body, "prompt", MAX_PROMPT))
        sources = form.files.get("image", [])
        if not sources:
            raise absent("image")
        if len(sources) > MAX_SOURCES:
            raise InvalidRequestError(f"'image' may be at most {MAX_SOURCES} files.", param="image")
        mask = form.file("mask") if "mask" in form.files else None
        order = replace(order, wish=replace(order.wish, sources=sources, mask=mask))
        if boolean(body, "stream"):
            return await sse.stream(request, _events("image_edit", order, model), typed=True)
        return await _whole(order, model)


async def vary(request: web.Request, model: Painter) -> web.StreamResponse:
    """Draw a picture in other ways."""
    async with received(request, model, files=("image",)) as form:
        order = _order(form.body(numbers=NUMBERS), None)
        return await _whole(replace(order, wish=replace(order.wish, sources=[form.file("image")])), model)


GENERATIONS = Endpoint(Painter, generate)
EDITS = Endpoint(Painter, edit)
VARIATIONS = Endpoint(Painter, vary)


async def _whole(order: Order, model: Painter) -> web.Response:
    pictures = [await model.draw(wish) for wish in order.wishes()]
    return json_response(
        {
            "created": int(time.time()),
            "data": [{"b64_json": _encoded(picture)} for picture in pictures],
            **order.described(pictures[0]),
            "usage": order.usage(pictures),
        }
    )


async def _events(kind: str, order: Order, model: Painter) -> AsyncGenerator[dict[str, Any], None]:
    for wish in order.wishes():
        for index in range(order.partials):
            picture = await model.draw(wish, (index + 1) / (order.partials + 1))
            event = _event(f"{kind}.partial_image", order, picture)
            yield {**event, "partial_image_index": index}
        picture = await model.draw(wish)
        yield {**_event(f"{kind}.completed", order, picture), "usage": order.usage([picture])}


def _event(kind: str, order: Order, picture: Picture) -> dict[str, Any]:
    return {
        "type": kind,
        "b64_json": _encoded(picture),
        "created_at": int(time.time()),
        **order.described(picture),
    }


def _encoded(picture: Picture) -> str:
    return base64.b64encode(picture.data).decode()


def _order(body: Body, prompt: str | None) -> Order:
    if choice(body, "response_format", ("b64_json", "url"), "b64_json") == "url":
        raise InvalidRequestError(
            "This server keeps no pictures: 'response_format' has to be 'b64_json'.", param="response_format"
        )
    form = choice(body, "output_format", FORMS, "png")
    background = choice(body, "background", ("auto", "opaque", "transparent"), "auto")
    if background == "transparent" and form == "jpeg":
        raise InvalidRequestError("A jpeg cannot be transparent.", param="background")
    compression = integer(body, "output_compression", 0, 100)
    quality = body.get("quality")
    return Order(
        wish=Wish(
            prompt=prompt,
            size=_size(body),
            seed=integer(body, "seed", -SEEDS, SEEDS - 1) or 0,
            form=form,
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
        f"'size' has to be 'auto' or such as '1024x1024', each side from {MIN_SIDE} to {MAX_SIDE}.",
        param="size",
    )
