"""The answers to one request: as many as were asked for, one after another, tidied and counted."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from local_models.chat.model import Gemma, Piece, Usage
from local_models.chat.options import SEEDS, Options
from local_models.errors import InvalidRequestError

#: How an object, a list, a string or a number begins; the words of JSON begin like any other text.
JSON_STARTS = ("{", "[", '"', "-", *"0123456789")


class Answers:
    """Iterates over ``(index of the answer, piece)``; ``usage`` is whole at the end.

    Args:
        model: who answers.
        prompt: the text to continue.
        options: what the client wants.
        stops: texts that end an answer beside the client's own.
        trim: leave out the white space at both ends of an answer.
    """

    def __init__(
        self, model: Gemma, prompt: str, options: Options, *, stops: tuple[str, ...] = (), trim: bool = False
    ) -> None:
        self.model = model
        self.prompt = prompt
        self.options = options
        self.stops = stops
        self.trim = trim
        self.usage = Usage(0, 0)

    async def pieces(self) -> AsyncGenerator[tuple[int, Piece], None]:
        """Generate. The prompt's tokens are counted once, however many answers there are."""
        written = 0
        for index in range(self.options.n):
            engine = {**self.options.engine, "stop": [*self.options.stops, *self.stops]}
            if self.options.seed is not None:
                engine["seed"] = (self.options.seed + index) % SEEDS
            async with aclosing(self.model.generate(self.prompt, engine)) as generated:
                pieces = trimmed(generated) if self.trim else generated
                if "json_schema" in engine:
                    pieces = checked(pieces)
                async for piece in pieces:
                    if piece.usage:
                        written += piece.usage.completion_tokens
                        self.usage = Usage(piece.usage.prompt_tokens, written)
                    yield index, piece


async def checked(pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
    """Pass ``pieces`` on if they are JSON: the engine silently ignores a schema that it does not understand.

    Raises:
        InvalidRequestError: the answer does not begin as JSON does.
    """
    begun = False
    async for piece in pieces:
        if piece.text and not begun:
            begun = True
            if not piece.text.startswith(JSON_STARTS):
                raise InvalidRequestError("The JSON schema could not be used.", param="response_format")
        yield piece


async def trimmed(pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
    """Pass ``pieces`` on without the white space before the first and after the last word."""
    begun = False
    held = ""
    async for piece in pieces:
        text = held + piece.text
        if not begun:
            text = text.lstrip()
            begun = bool(text)
        kept = text.rstrip()
        held = text[len(kept) :]
        yield replace(piece, text=kept)
