"""The chat model: Gemma 3 270M, run by llama.cpp inside this process."""

import logging
import secrets
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, ClassVar

from local_models import CHAT_MODEL, thread_stream
from local_models.chat.prompt import render_prompt
from local_models.chat.weights import weights_path
from local_models.errors import ContextTooLongError, InvalidRequestError, LocalModelError, ModelFailedError
from local_models.local_model import LocalModel, Settings

logger = logging.getLogger(__name__)

#: Generations that run at once; others wait. Two share the cores without either one crawling.
PARALLEL = 2
#: Tokens of prompt and answer together, for one generation.
CONTEXT = 4096
#: Tokens of a prompt that are read between two looks at whether the client is still there (about 0.2 s).
BATCH = 128


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int

    def body(self) -> dict[str, int]:
        """Return OpenAI's ``usage``."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer.

    Attributes:
        text: what was written since the last piece, perhaps nothing.
        logprobs: the engine's entry for each token (token, bytes, logprob, top_logprobs), where asked for.
        finish_reason: ``stop`` or ``length`` in the last piece, else None.
        usage: in the last piece.
    """

    text: str
    logprobs: list[dict[str, Any]] | None = None
    finish_reason: str | None = None
    usage: Usage | None = None


class Gemma(LocalModel):
    """Continues texts."""

    capability: ClassVar[str] = "chat"
    id: ClassVar[str] = CHAT_MODEL
    eager: ClassVar[bool] = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._engine: Any = None
        # The pool's own queue is the queue of generations that wait for their turn.
        self._pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="generate")

    def load(self) -> None:
        path = weights_path(self.settings.data)
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_parallel = PARALLEL
        parameters.n_ctx = CONTEXT * PARALLEL
        parameters.n_batch = BATCH
        parameters.n_ubatch = BATCH
        parameters.cpuparams.n_threads = self.settings.threads
        parameters.cpuparams_batch.n_threads = self.settings.threads
        # With the whole window kept, a prompt reuses what it has in common with the last one: our examples.
        parameters.swa_full = True
        parameters.cache_ram_mib = 0
        parameters.cache_idle_slots = False
        parameters.warmup = False
        # It would load the model a second time, to see whether it fits into the memory of a graphics card.
        parameters.fit_params = False
        parameters.use_jinja = False
        # Even the engine's errors can quote what a client sent, and the log must not.
        parameters.verbosity = 0
        # The engine insists on an HTTP server of its own. Nobody is told its port, and nobody knows its key.
        parameters.hostnames = ["127.0.0.1"]
        parameters.port = 0
        parameters.api_keys = [secrets.token_hex(32)]
        parameters.n_threads_http = 1
        parameters.endpoint_slots = False
        parameters.ui = False
        engine = xllamacpp.Server(parameters)
        # Reading the examples now is a second that the first question need not wait for.
        opening = {"prompt": render_prompt([]), "max_tokens": 1, "stream": True}
        engine.handle_completions(opening, lambda _: False)
        self._engine = engine

    async def generate(self, prompt: str, options: dict[str, Any]) -> AsyncGenerator[Piece, None]:
        """Continue ``prompt``, a piece at a time; the first one is empty, and says that the engine has begun.

        Closing the generator stops the engine at the next token and frees its place.

        Args:
            prompt: the text.
            options: the engine's parameters, such as ``max_tokens``, ``temperature`` and ``stop``.

        Raises:
            ContextTooLongError: the prompt does not fit.
            InvalidRequestError: the engine refuses a parameter.
            ModelFailedError: the engine failed.
        """
        await self.ready()
        request = {
            **options,
            "prompt": prompt,
            "stream": True,
            "stream_options": {"include_usage": True},
            # Reports while the prompt is read are chances to stop.
            "return_progress": True,
            "cache_prompt": True,
        }

        def work(arrive: Callable[[dict[str, Any]], bool]) -> None:
            self._engine.handle_completions(request, arrive)

        async with aclosing(thread_stream.results(self._pool, work)) as chunks:
            async for chunk in chunks:
                yield _piece(chunk)


def _piece(chunk: dict[str, Any]) -> Piece:
    """Return what the engine said as a piece.

    Raises:
        LocalModelError: it said that it failed.
    """
    if "error" in chunk:
        raise _fault(chunk["error"])
    choice = chunk["choices"][0]
    usage = chunk.get("usage")
    return Piece(
        text=choice["text"],
        logprobs=(choice.get("logprobs") or {}).get("content"),
        finish_reason=choice["finish_reason"],
        usage=Usage(usage["prompt_tokens"], usage["completion_tokens"]) if usage else None,
    )


def _fault(error: dict[str, Any]) -> LocalModelError:
    if error.get("type") == "exceed_context_size_error":
        return ContextTooLongError(
            f"This model's maximum context length is {CONTEXT} tokens, and the request has"
            f" {error.get('n_prompt_tokens')} tokens. Please shorten it.",
            param="messages",
        )
    if error.get("code") == 400:
        return InvalidRequestError(f"The engine refused the request: {error.get('message')}")
    logger.error("the engine failed: %s", error.get("type"))
    return ModelFailedError("The model could not answer this request.")
