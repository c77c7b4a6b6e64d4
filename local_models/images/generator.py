"""A picture for a text: the same one for the same text, seed and size, and plainly no work of a model."""

import colorsys
import math
import random
import textwrap

from PIL import Image, ImageDraw, ImageFont

MARK = "stand-in image - drawn from the prompt, not by an image model"
SHAPES = 24
#: Letters of the prompt that are written into the picture.
LONGEST_CAPTION = 280
#: Steps of a gradient: more cannot be seen.
STEPS = 64
INK = (255, 255, 255, 255)
SHADE = (20, 20, 30, 170)

Colour = tuple[int, int, int, int]
Box = tuple[float, float, float, float]


def draw(
    text: str, seed: int, size: tuple[int, int], done: float = 1.0, *, transparent: bool = False
) -> Image.Image:
    """Return a picture as RGBA, without words.

    Args:
        text: chooses colours and shapes.
        seed: another one makes another picture of the same text.
        size: width and height in pixels.
        done: from 0 to 1; what would be drawn later is left out.
        transparent: leave the background out.
    """
    chance = random.Random(f"{seed}:{text}")  # noqa: S311  # a picture keeps no secret
    palette = _palette(chance)
    picture = Image.new("RGBA", size, (0, 0, 0, 0))
    upright = chance.random() < 0.5
    if not transparent:
        _fill(picture, palette[0], palette[1], upright=upright)
    # A layer of its own for each shape, blended, is slow; one layer that draws over itself is not.
    layer = Image.new("RGBA", size, (0, 0, 0, 0))
    pencil = ImageDraw.Draw(layer)
    for _ in range(round(SHAPES * done)):
        _shape(pencil, size, chance, palette)
    picture.alpha_composite(layer)
    return picture


def write(picture: Image.Image, caption: str) -> None:
    """Write a caption and the mark into a picture."""
    width, height = picture.size
    size = max(8, min(width, height) // 22)
    columns = max(8, int(width * 0.9 / (size * 0.55)))
    shown = textwrap.shorten(caption, LONGEST_CAPTION, placeholder=" ...") or caption[:LONGEST_CAPTION]
    lines = textwrap.wrap(shown, columns)[: max(1, int(height * 0.6 / (size * 1.3)))]
    _panel(picture, lines, size, middle=height / 2)
    small = max(6, size // 2)
    marks = textwrap.wrap(MARK, max(8, int(width * 0.96 / (small * 0.55))))
    _panel(picture, marks, small, middle=height - small * (0.65 * len(marks) + 0.8))


def _panel(picture: Image.Image, lines: list[str], size: int, *, middle: float) -> None:
    """Write lines on a dark stripe across the picture."""
    if not lines:
        return
    pitch = size * 1.3
    top = middle - pitch * len(lines) / 2
    stripe = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    pencil = ImageDraw.Draw(stripe)
    pencil.rectangle((0, top - size / 2, picture.width, top + pitch * len(lines) + size / 2), fill=SHADE)
    font = ImageFont.load_default(size)
    for number, line in enumerate(lines):
        pencil.text((picture.width / 2, top + pitch * (number + 0.5)), line, fill=INK, font=font, anchor="mm")
    picture.alpha_composite(stripe)


def _palette(chance: random.Random) -> list[Colour]:
    """Return six colours that go together: around one hue, and its opposite."""
    hue = chance.random()
    colours = []
    for place in range(6):
        turned = (hue + place * 0.07 + (0.5 if place in (3, 5) else 0)) % 1
        red, green, blue = colorsys.hsv_to_rgb(turned, chance.uniform(0.35, 0.8), chance.uniform(0.55, 0.95))
        colours.append((round(red * 255), round(green * 255), round(blue * 255), 255))
    return colours


def _fill(picture: Image.Image, begin: Colour, end: Colour, *, upright: bool) -> None:
    """Fill a picture with a gradient."""
    width, height = picture.size
    pencil = ImageDraw.Draw(picture)
    for step in range(STEPS):
        share = step / (STEPS - 1)
        red, green, blue = (round(a + (b - a) * share) for a, b in zip(begin[:3], end[:3], strict=True))
        low, high = step / STEPS, (step + 1) / STEPS
        box = (0, low * height, width, high * height) if upright else (low * width, 0, high * width, height)
        pencil.rectangle(box, fill=(red, green, blue, 255))


def _shape(
    pencil: ImageDraw.ImageDraw, size: tuple[int, int], chance: random.Random, palette: list[Colour]
) -> None:
    width, height = size
    x, y = chance.uniform(0, width), chance.uniform(0, height)
    radius = chance.uniform(0.03, 0.16) * min(width, height)
    colour = (*chance.choice(palette[2:])[:3], chance.randint(120, 230))
    box: Box = (x - radius, y - radius, x + radius, y + radius)
    match chance.randrange(4):
        case 0:
            pencil.ellipse(box, fill=colour)
        case 1:
            pencil.rounded_rectangle(box, radius / 4, fill=colour)
        case 2:
            pencil.ellipse(box, outline=colour, width=max(1, int(radius / 5)))
        case _:
            corners, turn = chance.randint(3, 6), chance.uniform(0, math.tau)
            pencil.polygon(
                [
                    (
                        x + radius * math.cos(turn + math.tau * corner / corners),
                        y + radius * math.sin(turn + math.tau * corner / corners),
                    )
                    for corner in range(corners)
                ],
                fill=colour,
            )
