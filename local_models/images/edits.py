"""Drawing what clients wish for: new pictures, edits and variations."""

import random
from collections.abc import Sequence

from PIL import Image, ImageChops, ImageOps

from local_models.images import files, generator
from local_models.images.model import Picture, Wish, tokens

DEFAULT_SIZE = (1024, 1024)


def draw(wish: Wish, done: float) -> Picture:
    """Draw a wish as far as ``done`` says, from 0 to 1; see ``Wish``.

    Raises:
        InvalidRequestError: a source or the mask is no picture.
    """
    read = 0
    if not wish.sources:
        size = wish.size or DEFAULT_SIZE
        picture = generator.draw(wish.prompt or "", wish.seed, size, done, transparent=wish.transparent)
    else:
        sources = []
        for file in wish.sources:
            source, full = files.read(file, "image")
            sources.append(source)
            read += tokens(full)
        size = wish.size or sources[0].size
        picture = (
            _edit(wish, sources, size, done) if wish.prompt is not None else _variation(wish, sources, size)
        )
    if done >= 1:
        generator.write(picture, f"variation {wish.seed}" if wish.prompt is None else wish.prompt)
    data = files.written(picture, wish.form, wish.compression, transparent=wish.transparent)
    return Picture(data, picture.size, read)


def _edit(wish: Wish, sources: Sequence[Image.Image], size: tuple[int, int], done: float) -> Image.Image:
    """Draw shapes over the sources, or a new picture where a mask lets the old one go."""
    whole = _side_by_side(sources, size)
    prompt = wish.prompt or ""
    if wish.mask is None:
        whole.alpha_composite(generator.draw(prompt, wish.seed, size, done, transparent=True))
        return whole
    mask, _ = files.read(wish.mask, "mask")
    gone = ImageChops.invert(mask.resize(size).getchannel("A"))
    whole.paste(generator.draw(prompt, wish.seed, size, done, transparent=wish.transparent), mask=gone)
    return whole


def _variation(wish: Wish, sources: Sequence[Image.Image], size: tuple[int, int]) -> Image.Image:
    """Mirror the source and turn its colours."""
    whole = _side_by_side(sources, size)
    if wish.seed % 2 == 0:
        whole = ImageOps.mirror(whole)
    turn = random.Random(wish.seed).randrange(32, 224)  # noqa: S311  # a picture keeps no secret
    hue, saturation, value = whole.convert("RGB").convert("HSV").split()
    turned = Image.merge("HSV", (hue.point(lambda shade: (shade + turn) % 256), saturation, value))
    varied = turned.convert("RGBA")
    varied.putalpha(whole.getchannel("A"))
    return varied


def _side_by_side(sources: Sequence[Image.Image], size: tuple[int, int]) -> Image.Image:
    """Return one picture of ``size`` with all of them in a row, each as large as fits."""
    width, height = size
    share = width // len(sources)
    whole = Image.new("RGBA", size, (0, 0, 0, 0))
    for place, source in enumerate(sources):
        fitted = ImageOps.contain(source, (share, height))
        corner = (place * share + (share - fitted.width) // 2, (height - fitted.height) // 2)
        whole.alpha_composite(fitted, corner)
    return whole
