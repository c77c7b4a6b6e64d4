"""``POST /v1/chat/completions``."""

import os
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from local_models import sse
from local_models.chat.generation import Generations
from local_models.chat.model import ChatModel, TextDelta
from local_models.chat.options import read_options
from local_models.chat.prompt import STOPS, ChatMessage, render_prompt
from local_models.endpoints.base import ModelEndpoint
from local_models.errors import InvalidRequestError
from local_models.fields import Body, boolean, integer, json_body, missing_parameter
from local_models.responses import json_response

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
MAX_TOP_LOGPROBS = 20
#: The first delta of each choice.
FIRST_DELTA = {"role": "assistant", "content": "", "refusal": None}


async def complete_chat(request: web.Request, model: ChatModel) -> web.StreamResponse:
    """Complete a conversation, as one response or as a stream."""
    body = await json_body(request, model)
    messages = _messages(body)
    _refuse_forced_tools(body)
    top_logprobs = integer(body, "top_logprobs", 0, MAX_TOP_LOGPROBS) or 0
    generation_options = read_options(
        body, top_logprobs=max(top_logprobs, 1) if boolean(body, "logprobs") else 0
    )
    # With a schema the engine knows where the text ends, and JSON may contain an empty line.
    stops = () if "json_schema" in generation_options.engine else STOPS
    generations = Generations(model, render_prompt(messages), generation_options, stops=stops, trim=True)
    response = ChatResponse(model.id, top_logprobs)
    if generation_options.stream:
        return await sse.stream(request, response.events(generations))
    return json_response(await response.body(generations))


ENDPOINT = ModelEndpoint(ChatModel, complete_chat)


@dataclass(slots=True)
class ChatChoice:
    """A choice while it is generated."""

    text: list[str] = field(default_factory=list)
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str = "stop"


class ChatResponse:
    """Builds the response or the chunks of one chat completion.

    Args:
        model: model id.
        top_logprobs: number of alternatives per token.
    """

    def __init__(self, model: str, top_logprobs: int) -> None:
        self.top_logprobs = top_logprobs
        self.head = {"id": f"chatcmpl-{os.urandom(12).hex()}", "created": int(time.time()), "model": model}

    async def body(self, generations: Generations) -> dict[str, Any]:
        """Return the completion as one object."""
        choices = [ChatChoice() for _ in range(generations.options.n)]
        async for index, delta in generations.deltas():
            choice = choices[index]
            choice.text.append(delta.text)
            choice.logprobs += self._logprobs(delta) or []
            choice.finish_reason = delta.finish_reason or choice.finish_reason
        return {
            **self.head,
            "object": "chat.completion",
            "choices": [
                {
                    "index": index,
                    "message": {"role": "assistant", "content": "".join(choice.text), "refusal": None},
                    "logprobs": {"content": choice.logprobs, "refusal": None} if choice.logprobs else None,
                    "finish_reason": choice.finish_reason,
                }
                for index, choice in enumerate(choices)
            ],
            "usage": generations.usage.body(),
        }

    async def events(self, generations: Generations) -> AsyncGenerator[dict[str, Any], None]:
        """Generate the chunks of a stream."""
        usage = {"usage": None} if generations.options.include_usage else {}
        started: set[int] = set()
        async with aclosing(generations.deltas()) as deltas:
            async for index, delta in deltas:
                if index not in started:
                    started.add(index)
                    yield self._chunk([_delta(index, FIRST_DELTA)], usage)
                if delta.text or delta.logprobs:
                    logprobs = {"content": self._logprobs(delta), "refusal": None} if delta.logprobs else None
                    yield self._chunk([_delta(index, {"content": delta.text}, logprobs=logprobs)], usage)
                if delta.finish_reason:
                    yield self._chunk([_delta(index, {}, finish_reason=delta.finish_reason)], usage)
        if generations.options.include_usage:
            yield self._chunk([], {"usage": generations.usage.body()})

    def _chunk(self, choices: list[dict[str, Any]], usage: dict[str, Any]) -> dict[str, Any]:
        return {**self.head, "object": "chat.completion.chunk", "choices": choices, **usage}

    def _logprobs(self, delta: TextDelta) -> list[dict[str, Any]] | None:
        """Return the engine's log probabilities without token ids."""
        if delta.logprobs is None:
            return None
        return [
            {
                **_token(entry),
                "top_logprobs": [_token(top) for top in entry["top_logprobs"][: self.top_logprobs]],
            }
            for entry in delta.logprobs
        ]


def _delta(
    index: int,
    delta: dict[str, Any],
    *,
    logprobs: dict[str, Any] | None = None,
    finish_reason: str | None = None,
) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}


def _token(entry: dict[str, Any]) -> dict[str, Any]:
    return {"token": entry["token"], "logprob": entry["logprob"], "bytes": entry["bytes"]}


def _refuse_forced_tools(body: Body) -> None:
    """Refuse requests that require a tool call. Optional tools are ignored."""
    choice = body.get("tool_choice")
    if choice == "required" or isinstance(choice, dict):
        raise InvalidRequestError("This model cannot call tools.", param="tool_choice")


def _messages(body: Body) -> list[ChatMessage]:
    messages = body.get("messages")
    if messages is None:
        raise missing_parameter("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequestError("'messages' must be a list of at least one message.", param="messages")
    return [_message(message, f"messages[{index}]") for index, message in enumerate(messages)]


def _message(message: Any, where: str) -> ChatMessage:
    if not isinstance(message, dict):
        raise InvalidRequestError("A message must be an object.", param=where)
    role = message.get("role")
    if role not in ROLES:
        raise InvalidRequestError(
            f"The role of a message must be one of: {', '.join(ROLES)}.", param=f"{where}.role"
        )
    return ChatMessage(role, _text(message.get("content"), f"{where}.content"))


def _text(content: Any, where: str) -> str:
    """Return the text of a message's content: a string, a list of parts, or null."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise InvalidRequestError("The content must be a string or a list of parts.", param=where)
    texts = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in ("text", "refusal"):
            raise InvalidRequestError(
                "This model reads text only: every part must be of type 'text'.", param=where
            )
        text = part.get(kind)
        if not isinstance(text, str):
            raise InvalidRequestError(f"A part of type '{kind}' must contain a string.", param=where)
        texts.append(text)
    return "\n".join(texts)
