"""Pictures as files: those that clients send, and those that they get."""

import io
import struct
from typing import BinaryIO

from PIL import Image, ImageOps

from local_models.errors import InvalidRequestError

KINDS = ("PNG", "JPEG", "WEBP")
#: A small file can unpack to far more. This is looked at before anything is unpacked, so Pillow need not warn.
MAX_PIXELS = 4096 * 4096
Image.MAX_IMAGE_PIXELS = None
#: Pixels of the longer side of a picture that is worked on.
LARGEST = 2048


def read(file: BinaryIO, name: str) -> tuple[Image.Image, tuple[int, int]]:
    """Return the picture in a file as RGBA, the right way up and no larger than needed, and its own size.

    Raises:
        InvalidRequestError: it is none, or too large.
    """
    file.seek(0)
    try:
        picture: Image.Image = Image.open(file, formats=KINDS)
        size = picture.size
        if size[0] * size[1] > MAX_PIXELS:
            raise InvalidRequestError(
                f"'{name}' may have at most {MAX_PIXELS:,} pixels.", param=name, code="image_too_large"
            )
        picture.thumbnail((LARGEST, LARGEST))
        return ImageOps.exif_transpose(picture).convert("RGBA"), size
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, struct.error) as error:
        raise InvalidRequestError(
            f"'{name}' has to be a picture in one of the formats png, jpeg and webp.",
            param=name,
            code="invalid_image",
        ) from error


def written(picture: Image.Image, kind: str, compression: int, *, transparent: bool) -> bytes:
    """Return a picture as a file: png, jpeg or webp, of the quality ``compression`` from 0 to 100."""
    file = io.BytesIO()
    kept = picture if transparent and kind != "jpeg" else _opaque(picture)
    if kind == "png":
        kept.save(file, "PNG", compress_level=3)
    else:
        kept.save(file, kind.upper(), quality=compression)
    return file.getvalue()


def _opaque(picture: Image.Image) -> Image.Image:
    ground = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    ground.alpha_composite(picture)
    return ground.convert("RGB")
