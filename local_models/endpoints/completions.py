"""``POST /v1/completions``: text completion without a chat prompt."""

import os
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from aiohttp import web

from local_models import sse
from local_models.chat.generation import Generations
from local_models.chat.model import ChatModel
from local_models.chat.options import read_options
from local_models.endpoints.base import ModelEndpoint
from local_models.errors import InvalidRequestError
from local_models.fields import Body, boolean, integer, json_body
from local_models.responses import json_response

#: OpenAI's default for this route.
DEFAULT_MAX_TOKENS = 16
MAX_LOGPROBS = 5


async def complete(request: web.Request, model: ChatModel) -> web.StreamResponse:
    """Complete a text, as one response or as a stream."""
    body = await json_body(request, model)
    prompt = _prompt(body)
    generation_options = read_options(
        {"max_tokens": DEFAULT_MAX_TOKENS, **body},
        top_logprobs=integer(body, "logprobs", 0, MAX_LOGPROBS) or 0,
    )
    generations = Generations(model, prompt, generation_options)
    echo = prompt if boolean(body, "echo") else ""
    head = {
        "id": f"cmpl-{os.urandom(12).hex()}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": model.id,
    }
    if generation_options.stream:
        return await sse.stream(request, _events(head, generations, echo))
    return json_response(await _body(head, generations, echo))


ENDPOINT = ModelEndpoint(ChatModel, complete)


async def _body(head: dict[str, Any], generations: Generations, echo: str) -> dict[str, Any]:
    choices = [_choice(index, echo) for index in range(generations.options.n)]
    async for index, delta in generations.deltas():
        choice = choices[index]
        choice["text"] += delta.text
        choice["finish_reason"] = delta.finish_reason
        choice["logprobs"] = _with_logprobs(choice["logprobs"], delta.logprobs)
    return {**head, "choices": choices, "usage": generations.usage.body()}


async def _events(
    head: dict[str, Any], generations: Generations, echo: str
) -> AsyncGenerator[dict[str, Any], None]:
    usage = {"usage": None} if generations.options.include_usage else {}
    started: set[int] = set()
    async with aclosing(generations.deltas()) as deltas:
        async for index, delta in deltas:
            if index not in started:
                started.add(index)
                yield {**head, "choices": [_choice(index, echo)], **usage}
            if delta.text or delta.finish_reason or delta.logprobs:
                choice = _choice(index, delta.text)
                choice["finish_reason"] = delta.finish_reason
                choice["logprobs"] = _with_logprobs(None, delta.logprobs)
                yield {**head, "choices": [choice], **usage}
    if generations.options.include_usage:
        yield {**head, "choices": [], "usage": generations.usage.body()}


def _choice(index: int, text: str) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": None}


def _with_logprobs(
    logprobs: dict[str, Any] | None, more: list[dict[str, Any]] | None
) -> dict[str, Any] | None:
    """Append the engine's log probabilities ``more`` in this route's format."""
    if not more:
        return logprobs
    lists = logprobs or {"tokens": [], "token_logprobs": [], "top_logprobs": []}
    for entry in more:
        lists["tokens"].append(entry["token"])
        lists["token_logprobs"].append(entry["logprob"])
        lists["top_logprobs"].append({top["token"]: top["logprob"] for top in entry["top_logprobs"]})
    return lists


def _prompt(body: Body) -> str:
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str) or not prompt:
        raise InvalidRequestError("'prompt' must be a single non-empty string.", param="prompt")
    return prompt
