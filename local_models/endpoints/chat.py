"""``POST /v1/chat/completions``."""

import os
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from local_models import sse
from local_models.chat import options
from local_models.chat.generation import Answers
from local_models.chat.model import Gemma, Piece
from local_models.chat.prompt import STOPS, Turn, render_prompt
from local_models.endpoints.base import Endpoint
from local_models.errors import InvalidRequestError
from local_models.fields import Body, absent, boolean, integer, json_body
from local_models.responses import json_response

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
MAX_TOP_LOGPROBS = 20
#: The first delta of each answer.
OPENING = {"role": "assistant", "content": "", "refusal": None}


async def answer(request: web.Request, model: Gemma) -> web.StreamResponse:
    """Answer a conversation, whole or as a stream."""
    body = await json_body(request, model)
    turns = _turns(body)
    _refuse_forced_tools(body)
    top_logprobs = integer(body, "top_logprobs", 0, MAX_TOP_LOGPROBS) or 0
    wanted = options.read(body, top_logprobs=max(top_logprobs, 1) if boolean(body, "logprobs") else 0)
    # A schema decides by itself where the answer ends, and JSON may well hold an empty line.
    stops = () if "json_schema" in wanted.engine else STOPS
    answers = Answers(model, render_prompt(turns), wanted, stops=stops, trim=True)
    reply = Reply(model.id, top_logprobs)
    if wanted.stream:
        return await sse.stream(request, reply.events(answers))
    return json_response(await reply.whole(answers))


ENDPOINT = Endpoint(Gemma, answer)


@dataclass(slots=True)
class Choice:
    """An answer as it grows."""

    text: list[str] = field(default_factory=list)
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str = "stop"


class Reply:
    """The wire shape of one chat completion.

    Args:
        model: the id that it carries.
        top_logprobs: how many alternatives each token shows.
    """

    def __init__(self, model: str, top_logprobs: int) -> None:
        self.top_logprobs = top_logprobs
        self.head = {"id": f"chatcmpl-{os.urandom(12).hex()}", "created": int(time.time()), "model": model}

    async def whole(self, answers: Answers) -> dict[str, Any]:
        """Return the completion."""
        choices = [Choice() for _ in range(answers.options.n)]
        async for index, piece in answers.pieces():
            choice = choices[index]
            choice.text.append(piece.text)
            choice.logprobs += self._logprobs(piece) or []
            choice.finish_reason = piece.finish_reason or choice.finish_reason
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
            "usage": answers.usage.body(),
        }

    async def events(self, answers: Answers) -> AsyncGenerator[dict[str, Any], None]:
        """Generate the chunks of a stream."""
        usage = {"usage": None} if answers.options.include_usage else {}
        begun: set[int] = set()
        async with aclosing(answers.pieces()) as pieces:
            async for index, piece in pieces:
                if index not in begun:
                    begun.add(index)
                    yield self._chunk([_delta(index, OPENING)], usage)
                if piece.text or piece.logprobs:
                    logprobs = {"content": self._logprobs(piece), "refusal": None} if piece.logprobs else None
                    yield self._chunk([_delta(index, {"content": piece.text}, logprobs=logprobs)], usage)
                if piece.finish_reason:
                    yield self._chunk([_delta(index, {}, finish_reason=piece.finish_reason)], usage)
        if answers.options.include_usage:
            yield self._chunk([], {"usage": answers.usage.body()})

    def _chunk(self, choices: list[dict[str, Any]], usage: dict[str, Any]) -> dict[str, Any]:
        return {**self.head, "object": "chat.completion.chunk", "choices": choices, **usage}

    def _logprobs(self, piece: Piece) -> list[dict[str, Any]] | None:
        """Return the engine's log probabilities without the ids of its tokens."""
        if piece.logprobs is None:
            return None
        return [
            {
                **_token(entry),
                "top_logprobs": [_token(top) for top in entry["top_logprobs"][: self.top_logprobs]],
            }
            for entry in piece.logprobs
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
    """Tools that the model may call it leaves alone, since it cannot; tools that it must call are refused."""
    choice = body.get("tool_choice")
    if choice == "required" or isinstance(choice, dict):
        raise InvalidRequestError("This model cannot call tools.", param="tool_choice")


def _turns(body: Body) -> list[Turn]:
    messages = body.get("messages")
    if messages is None:
        raise absent("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequestError("'messages' has to be a list of at least one message.", param="messages")
    return [_turn(message, f"messages[{index}]") for index, message in enumerate(messages)]


def _turn(message: Any, where: str) -> Turn:
    if not isinstance(message, dict):
        raise InvalidRequestError("A message has to be an object.", param=where)
    role = message.get("role")
    if role not in ROLES:
        raise InvalidRequestError(
            f"The role of a message has to be one of: {', '.join(ROLES)}.", param=f"{where}.role"
        )
    return Turn(role, _text(message.get("content"), f"{where}.content"))


def _text(content: Any, where: str) -> str:
    """Return the text of a message's content: a string, a list of parts, or nothing."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise InvalidRequestError("The content has to be a string or a list of parts.", param=where)
    texts = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in ("text", "refusal"):
            raise InvalidRequestError(
                "This model reads text only: every part has to be of type 'text'.", param=where
            )
        text = part.get(kind)
        if not isinstance(text, str):
            raise InvalidRequestError(f"A part of type '{kind}' has to hold a string.", param=where)
        texts.append(text)
    return "\n".join(texts)
