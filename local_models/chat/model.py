"""The chat model: Gemma 3 270M, run by llama.cpp in this process."""

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
from local_models.local_model import LocalModel, ModelSettings

logger = logging.getLogger(__name__)

#: Concurrent generations; others wait. Two share the cores without becoming slow.
PARALLEL = 2
#: Tokens of a prompt and its completion together.
CONTEXT = 4096
#: Prompt tokens per batch; cancellation is noticed between batches (about 0.2 s).
BATCH = 128


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Token counts of a completion."""

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
class TextDelta:
    """A part of a completion.

    Attributes:
        text: added since the previous part, possibly empty.
        logprobs: an entry per token (token, bytes, logprob, top_logprobs), if requested.
        finish_reason: ``stop`` or ``length`` in the last part, else None.
        usage: in the last part.
    """

    text: str
    logprobs: list[dict[str, Any]] | None = None
    finish_reason: str | None = None
    usage: TokenUsage | None = None


class ChatModel(LocalModel):
    """Generates continuations of a prompt."""

    capability: ClassVar[str] = "chat"
    id: ClassVar[str] = CHAT_MODEL
    eager: ClassVar[bool] = True

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self._engine: Any = None
        # The pool's queue holds the generations that wait.
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
        # With a full attention window a prompt can reuse the cached prefix of the previous one: the examples.
        parameters.swa_full = True
        parameters.cache_ram_mib = 0
        parameters.cache_idle_slots = False
        parameters.warmup = False
        # Fitting loads the model a second time to measure GPU memory.
        parameters.fit_params = False
        parameters.use_jinja = False
        # The engine's errors can quote content of requests, which must not be logged.
        parameters.verbosity = 0
        # The engine always starts an HTTP server: give it a random port and a random key.
        parameters.hostnames = ["127.0.0.1"]
        parameters.port = 0
        parameters.api_keys = [secrets.token_hex(32)]
        parameters.n_threads_http = 1
        parameters.endpoint_slots = False
        parameters.ui = False
        engine = xllamacpp.Server(parameters)
        # Reading the examples now saves the first request a second.
        warmup = {"prompt": render_prompt([]), "max_tokens": 1, "stream": True}
        engine.handle_completions(warmup, lambda _: False)
        self._engine = engine

    async def generate(self, prompt: str, options: dict[str, Any]) -> AsyncGenerator[TextDelta, None]:
        """Generate a continuation of ``prompt``. The first part is empty and means that the engine has started.

        Closing the generator stops the engine at the next token and frees its slot.

        Args:
            options: the engine's parameters, such as ``max_tokens``, ``temperature`` and ``stop``.

        Raises:
            ContextTooLongError: the prompt has too many tokens.
            InvalidRequestError: the engine refused a parameter.
            ModelFailedError: the engine failed.
        """
        await self.ready()
        request = {
            **options,
            "prompt": prompt,
            "stream": True,
            "stream_options": {"include_usage": True},
            # Progress reports while the prompt is read allow cancellation.
            "return_progress": True,
            "cache_prompt": True,
        }

        def work(emit: Callable[[dict[str, Any]], bool]) -> None:
            self._engine.handle_completions(request, emit)

        async with aclosing(thread_stream.results(self._pool, work)) as chunks:
            async for chunk in chunks:
                yield _text_delta(chunk)


def _text_delta(chunk: dict[str, Any]) -> TextDelta:
    """Convert a chunk of the engine.

    Raises:
        LocalModelError: the chunk is an error.
    """
    if "error" in chunk:
        raise _engine_error(chunk["error"])
    choice = chunk["choices"][0]
    usage = chunk.get("usage")
    return TextDelta(
        text=choice["text"],
        logprobs=(choice.get("logprobs") or {}).get("content"),
        finish_reason=choice["finish_reason"],
        usage=TokenUsage(usage["prompt_tokens"], usage["completion_tokens"]) if usage else None,
    )


def _engine_error(error: dict[str, Any]) -> LocalModelError:
    if error.get("type") == "exceed_context_size_error":
        return ContextTooLongError(
            f"This model's maximum context length is {CONTEXT} tokens, and the request has"
            f" {error.get('n_prompt_tokens')} tokens. Shorten it and retry.",
            param="messages",
        )
    if error.get("code") == 400:
        return InvalidRequestError(f"The engine refused the request: {error.get('message')}")
    logger.error("the engine failed: %s", error.get("type"))
    return ModelFailedError("The model failed to process this request.")
