"""``POST /v1/completions``: the text goes to the model as it is."""

import os
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from aiohttp import web

from local_models import sse
from local_models.chat import options
from local_models.chat.generation import Answers
from local_models.chat.model import Gemma
from local_models.endpoints.base import Endpoint
from local_models.errors import InvalidRequestError
from local_models.fields import Body, boolean, integer, json_body
from local_models.responses import json_response

#: OpenAI's own default for this route.
DEFAULT_MAX_TOKENS = 16
MAX_LOGPROBS = 5


async def answer(request: web.Request, model: Gemma) -> web.StreamResponse:
    """Continue a text, whole or as a stream."""
    body = await json_body(request, model)
    prompt = _prompt(body)
    wanted = options.read(
        {"max_tokens": DEFAULT_MAX_TOKENS, **body},
        top_logprobs=integer(body, "logprobs", 0, MAX_LOGPROBS) or 0,
    )
    answers = Answers(model, prompt, wanted)
    echo = prompt if boolean(body, "echo") else ""
    head = {
        "id": f"cmpl-{os.urandom(12).hex()}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": model.id,
    }
    if wanted.stream:
        return await sse.stream(request, _events(head, answers, echo))
    return json_response(await _whole(head, answers, echo))


ENDPOINT = Endpoint(Gemma, answer)


async def _whole(head: dict[str, Any], answers: Answers, echo: str) -> dict[str, Any]:
    choices = [_choice(index, echo) for index in range(answers.options.n)]
    async for index, piece in answers.pieces():
        choice = choices[index]
        choice["text"] += piece.text
        choice["finish_reason"] = piece.finish_reason
        choice["logprobs"] = _with_logprobs(choice["logprobs"], piece.logprobs)
    return {**head, "choices": choices, "usage": answers.usage.body()}


async def _events(head: dict[str, Any], answers: Answers, echo: str) -> AsyncGenerator[dict[str, Any], None]:
    usage = {"usage": None} if answers.options.include_usage else {}
    begun: set[int] = set()
    async with aclosing(answers.pieces()) as pieces:
        async for index, piece in pieces:
            if index not in begun:
                begun.add(index)
                yield {**head, "choices": [_choice(index, echo)], **usage}
            if piece.text or piece.finish_reason or piece.logprobs:
                choice = _choice(index, piece.text)
                choice["finish_reason"] = piece.finish_reason
                choice["logprobs"] = _with_logprobs(None, piece.logprobs)
                yield {**head, "choices": [choice], **usage}
    if answers.options.include_usage:
        yield {**head, "choices": [], "usage": answers.usage.body()}


def _choice(index: int, text: str) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": None}


def _with_logprobs(so_far: dict[str, Any] | None, more: list[dict[str, Any]] | None) -> dict[str, Any] | None:
    """Return the lists of log probabilities of this route, with ``more`` of the engine at their end."""
    if not more:
        return so_far
    lists = so_far or {"tokens": [], "token_logprobs": [], "top_logprobs": []}
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
        raise InvalidRequestError("'prompt' has to be one string that is not empty.", param="prompt")
    return prompt
