"""Runs the generations of one request, one per choice, and counts their tokens."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from local_models.chat.model import ChatModel, TextDelta, TokenUsage
from local_models.chat.options import SEEDS, GenerationOptions
from local_models.errors import InvalidRequestError

#: First characters of JSON objects, arrays, strings and numbers.
JSON_STARTS = ("{", "[", '"', "-", *"0123456789")


class Generations:
    """The generations of one request; ``usage`` is complete after the last.

    Args:
        model: the chat model.
        prompt: the rendered prompt.
        options: the parameters of the request.
        stops: stop sequences in addition to the client's.
        trim: strip whitespace at both ends of each text.
    """

    def __init__(
        self,
        model: ChatModel,
        prompt: str,
        options: GenerationOptions,
        *,
        stops: tuple[str, ...] = (),
        trim: bool = False,
    ) -> None:
        self.model = model
        self.prompt = prompt
        self.options = options
        self.stops = stops
        self.trim = trim
        self.usage = TokenUsage(0, 0)

    async def deltas(self) -> AsyncGenerator[tuple[int, TextDelta], None]:
        """Generate pairs of a choice's index and a part of it. Prompt tokens are counted once."""
        completion_tokens = 0
        for index in range(self.options.n):
            engine = {**self.options.engine, "stop": [*self.options.stops, *self.stops]}
            if self.options.seed is not None:
                engine["seed"] = (self.options.seed + index) % SEEDS
            async with aclosing(self.model.generate(self.prompt, engine)) as generated:
                deltas = trim_whitespace(generated) if self.trim else generated
                if "json_schema" in engine:
                    deltas = require_json(deltas)
                async for delta in deltas:
                    if delta.usage:
                        completion_tokens += delta.usage.completion_tokens
                        self.usage = TokenUsage(delta.usage.prompt_tokens, completion_tokens)
                    yield index, delta


async def require_json(deltas: AsyncGenerator[TextDelta, None]) -> AsyncGenerator[TextDelta, None]:
    """Pass JSON on. The engine ignores a schema that it does not understand, so other text is an error.

    Raises:
        InvalidRequestError: the text does not start like JSON.
    """
    started = False
    async for delta in deltas:
        if delta.text and not started:
            started = True
            if not delta.text.startswith(JSON_STARTS):
                raise InvalidRequestError(
                    "The model cannot follow this JSON schema.", param="response_format"
                )
        yield delta


async def trim_whitespace(deltas: AsyncGenerator[TextDelta, None]) -> AsyncGenerator[TextDelta, None]:
    """Pass ``deltas`` on without leading and trailing whitespace."""
    started = False
    pending = ""
    async for delta in deltas:
        text = pending + delta.text
        if not started:
            text = text.lstrip()
            started = bool(text)
        emitted = text.rstrip()
        pending = text[len(emitted) :]
        yield replace(delta, text=emitted)
