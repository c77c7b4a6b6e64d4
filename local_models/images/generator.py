"""Draws placeholder images: colours and shapes chosen by the prompt, with the prompt written across them."""

import io
import random
import struct
import textwrap
from typing import BinaryIO

from PIL import Image, ImageChops, ImageDraw, ImageFont, ImageOps

from local_models.errors import InvalidRequestError
from local_models.images.model import GeneratedImage, ImageRequest, image_tokens

DEFAULT_SIZE = (1024, 1024)
NOTICE = "stand-in image - drawn from the prompt, not by an image model"
SHAPES = 24
MAX_CAPTION = 280
INPUT_FORMATS = ("PNG", "JPEG", "WEBP")
#: Checked before an image is decoded, so Pillow's own limit is switched off.
MAX_PIXELS = 4096 * 4096
Image.MAX_IMAGE_PIXELS = None
#: Larger sources are scaled down to this side.
MAX_SOURCE_SIDE = 2048


def generate(request: ImageRequest, progress: float) -> GeneratedImage:
    """Draw an image; a ``progress`` below 1 leaves out later shapes and the caption.

    Raises:
        InvalidRequestError: a source or the mask is not an image.
    """
    opened = [_open(file, "image") for file in request.sources]
    sources = [image for image, _ in opened]
    size = request.size or (sources[0].size if sources else DEFAULT_SIZE)
    if request.prompt is None:
        image = _variation(sources[0], size, request.seed)
    elif sources:
        image = _edit(request, sources, size, progress)
    else:
        image = _draw(request, size, progress, transparent=request.transparent)
    if progress >= 1:
        caption = f"variation {request.seed}" if request.prompt is None else request.prompt
        _write(image, caption, image.height // 2, max(8, min(size) // 22))
        _write(image, NOTICE, image.height * 19 // 20, max(6, min(size) // 44))
    source_tokens = sum(image_tokens(original_size) for _, original_size in opened)
    return GeneratedImage(_encode(image, request), image.size, source_tokens)


def _open(file: BinaryIO, param: str) -> tuple[Image.Image, tuple[int, int]]:
    """Return an uploaded image as RGBA, scaled down to ``MAX_SOURCE_SIDE``, and its original size."""
    file.seek(0)
    try:
        image: Image.Image = Image.open(file, formats=INPUT_FORMATS)
        size = image.size
        if size[0] * size[1] > MAX_PIXELS:
            raise InvalidRequestError(
                f"'{param}' must have at most {MAX_PIXELS:,} pixels.", param=param, code="image_too_large"
            )
        image.thumbnail((MAX_SOURCE_SIDE, MAX_SOURCE_SIDE))
        return ImageOps.exif_transpose(image).convert("RGBA"), size
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, struct.error) as error:
        raise InvalidRequestError(
            f"'{param}' must be a png, jpeg or webp image.", param=param, code="invalid_image"
        ) from error


def _encode(image: Image.Image, request: ImageRequest) -> bytes:
    if not request.transparent:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image)
        image = opaque.convert("RGB")
    file = io.BytesIO()
    image.save(file, request.output_format.upper(), quality=request.compression, compress_level=3)
    return file.getvalue()


def _draw(request: ImageRequest, size: tuple[int, int], progress: float, *, transparent: bool) -> Image.Image:
    """Return a gradient with shapes, the same for the same prompt, seed and size."""
    rng = random.Random(f"{request.seed}:{request.prompt}")  # noqa: S311  # not cryptographic
    hue = rng.randrange(360)
    palette = [
        f"hsv({(hue + turn) % 360}, {rng.randint(35, 80)}%, {rng.randint(55, 95)}%)"
        for turn in (0, 25, 50, 75, 180, 205)
    ]
    gradient = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270)))
    background = ImageOps.colorize(gradient, palette[0], palette[1]).resize(size).convert("RGBA")
    shapes = Image.new("RGBA", size, (0, 0, 0, 0))
    pencil = ImageDraw.Draw(shapes)
    for _ in range(round(SHAPES * progress)):
        radius = rng.uniform(0.03, 0.16) * min(size)
        circle = (rng.uniform(0, size[0]), rng.uniform(0, size[1]), radius)
        # With more than six corners a polygon is drawn as a circle.
        corners, rotation, colour = rng.randint(3, 8), rng.randrange(360), rng.choice(palette[2:])
        if corners > 6:
            pencil.circle(circle[:2], radius, fill=colour)
        else:
            pencil.regular_polygon(circle, corners, rotation, fill=colour)
    if transparent:
        return shapes
    return Image.blend(background, Image.alpha_composite(background, shapes), 0.7)


def _edit(
    request: ImageRequest, sources: list[Image.Image], size: tuple[int, int], progress: float
) -> Image.Image:
    """Draw over the sources, or replace the area that the mask leaves transparent."""
    width = size[0] // len(sources)
    image = Image.new("RGBA", size, (0, 0, 0, 0))
    for index, source in enumerate(sources):
        fitted = ImageOps.pad(source, (width, size[1]), color=(0, 0, 0, 0))
        image.paste(fitted, (index * width, 0))
    if request.mask is None:
        image.alpha_composite(_draw(request, size, progress, transparent=True))
        return image
    mask, _ = _open(request.mask, "mask")
    editable = ImageChops.invert(mask.resize(size).getchannel("A"))
    image.paste(_draw(request, size, progress, transparent=request.transparent), mask=editable)
    return image


def _variation(source: Image.Image, size: tuple[int, int], seed: int) -> Image.Image:
    """Shift the colours of the source, and mirror it for even seeds."""
    image = ImageOps.pad(source, size, color=(0, 0, 0, 0))
    if seed % 2 == 0:
        image = ImageOps.mirror(image)
    shift = random.Random(seed).randrange(32, 224)  # noqa: S311  # not cryptographic
    hue, saturation, value = image.convert("RGB").convert("HSV").split()
    hue = hue.point(lambda level: (level + shift) % 256)
    varied = Image.merge("HSV", (hue, saturation, value)).convert("RGBA")
    varied.putalpha(image.getchannel("A"))
    return varied


def _write(image: Image.Image, text: str, middle: int, font_size: int) -> None:
    """Write wrapped text in white on a dark stripe around the row ``middle``."""
    shortened = textwrap.shorten(text, MAX_CAPTION, placeholder=" ...") or text[:MAX_CAPTION]
    wrapped = "\n".join(textwrap.wrap(shortened, max(8, round(image.width * 1.6 / font_size)))[:8])
    overlay = Image.new("RGBA", image.size, (0, 0, 0, 0))
    pencil = ImageDraw.Draw(overlay)
    font = ImageFont.load_default(font_size)
    centre = (image.width / 2, middle)
    _, top, _, bottom = pencil.multiline_textbbox(centre, wrapped, font=font, anchor="mm")
    padding = font_size / 2
    pencil.rectangle((0, top - padding, image.width, bottom + padding), fill=(20, 20, 30, 170))
    pencil.multiline_text(centre, wrapped, fill="white", font=font, anchor="mm", align="center")
    image.alpha_composite(overlay)
