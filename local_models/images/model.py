"""The image model's stand-in: no small one installs like a package, so pictures are drawn from the prompt."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO, ClassVar

from local_models import IMAGE_MODEL
from local_models.local_model import LocalModel, Settings


@dataclass(frozen=True, slots=True)
class Wish:
    """A picture that a client wants.

    Attributes:
        prompt: what it shows; None wants a variation of the sources.
        size: width and height in pixels; None leaves it to the painter.
        seed: another one makes another picture.
        form: png, jpeg or webp.
        compression: quality of jpeg and webp, from 0 to 100.
        transparent: without a background.
        sources: files of pictures to change.
        mask: the file of a picture whose transparent parts may be changed.
    """

    prompt: str | None
    size: tuple[int, int] | None = None
    seed: int = 0
    form: str = "png"
    compression: int = 90
    transparent: bool = False
    sources: Sequence[BinaryIO] = ()
    mask: BinaryIO | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that was drawn: its file, its width and height, and tokens of the pictures that it was made of."""

    data: bytes
    size: tuple[int, int]
    tokens_read: int


#: Draws a wish; a number below 1 is how far the picture has got.
Draw = Callable[[Wish, float], Picture]


class Painter(LocalModel):
    """Draws pictures."""

    capability: ClassVar[str] = "image"
    id: ClassVar[str] = IMAGE_MODEL

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._draw: Draw | None = None
        # One thread, in which the pictures of all clients take turns.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="draw")

    def load(self) -> None:
        from local_models.images.edits import draw

        self._draw = draw

    async def draw(self, wish: Wish, done: float = 1.0) -> Picture:
        """Return a picture; ``done`` below 1 is a look at it before it is ready.

        Raises:
            InvalidRequestError: a source or the mask is no picture.
        """
        await self.ready()
        assert self._draw is not None  # noqa: S101  # it is loaded
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._draw, wish, done)


#: Pixels of the square that counts as one token of a picture, each way.
PATCH = 32


def tokens(size: tuple[int, int]) -> int:
    """Return the usage of a picture: one token for each patch, begun ones counted whole."""
    return -(-size[0] // PATCH) * -(-size[1] // PATCH)
