"""The image model's placeholder: pictures drawn from the prompt, since no small image model is on PyPI."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO, ClassVar

from local_models import IMAGE_MODEL
from local_models.local_model import LocalModel, ModelSettings

#: Side in pixels of the square that counts as one token.
PATCH = 32


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One image to generate.

    Attributes:
        prompt: None requests a variation of the source.
        size: width and height in pixels; None means that of the source, or 1024x1024.
        seed: selects one of the possible images.
        output_format: png, jpeg or webp.
        compression: quality of jpeg and webp, from 0 to 100.
        transparent: omit the background.
        sources: image files to edit.
        mask: an image file whose transparent area may be edited.
    """

    prompt: str | None
    size: tuple[int, int] | None = None
    seed: int = 0
    output_format: str = "png"
    compression: int = 90
    transparent: bool = False
    sources: Sequence[BinaryIO] = ()
    mask: BinaryIO | None = None


@dataclass(frozen=True, slots=True)
class GeneratedImage:
    """An image file, its width and height, and the tokens of the source images."""

    data: bytes
    size: tuple[int, int]
    source_tokens: int


class ImageModel(LocalModel):
    """Generates images."""

    capability: ClassVar[str] = "image"
    id: ClassVar[str] = IMAGE_MODEL

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self._generate: Callable[[ImageRequest, float], GeneratedImage] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="image")

    def load(self) -> None:
        from local_models.images.generator import generate

        self._generate = generate

    async def generate(self, request: ImageRequest, progress: float = 1.0) -> GeneratedImage:
        """Return an image; a ``progress`` below 1 returns a partial image.

        Raises:
            InvalidRequestError: a source or the mask is not an image.
        """
        await self.ready()
        assert self._generate is not None  # noqa: S101  # loaded by ready()
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._generate, request, progress)


def image_tokens(size: tuple[int, int]) -> int:
    """Return the usage of an image: one token per patch, partial patches included."""
    return -(-size[0] // PATCH) * -(-size[1] // PATCH)
