"""Schema of text completions, the legacy endpoint: OpenAI's completions/create."""

import time
from collections.abc import Sequence
from typing import Any

import orjson

from gtapi.errors import BadRequest
from gtapi.ids import object_id
from gtapi.json_types import JSON
from gtapi.validation import Validator, integer, invalid, missing, number, of_type, validate, wrong_type
from inference.edge import DONE
from inference.endpoints.chat.schema import check_stop, check_stream_options
from inference.schemas import chat_response as part

_CHECKS: dict[str, Validator] = {
    "best_of": integer(0, 20),
    "echo": of_type(bool),
    "frequency_penalty": number(-2, 2),
    "logit_bias": of_type(dict),
    "logprobs": integer(0, 5),
    "max_tokens": integer(0),
    "n": integer(1, 128),
    "presence_penalty": number(-2, 2),
    "seed": integer(),
    "stop": check_stop,
    "stream": of_type(bool),
    "stream_options": check_stream_options,
    "suffix": of_type(str),
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "user": of_type(str),
}
#: Parameters that agents, which are served by chats, do not support.
NOT_OF_CHATS = ("suffix", "echo", "logprobs")
_LOGPROBS: dict[str, tuple[type, ...]] = {
    "tokens": (str,),
    "token_logprobs": (int, float, type(None)),
    "text_offset": (int,),
}


def check_completions(body: JSON) -> None:
    """Refuse what OpenAI refuses, naming the parameter."""
    prompt = body.get("prompt")
    if prompt is None:
        raise missing("prompt")
    if not isinstance(prompt, str | list):
        raise wrong_type("prompt", "a string or an array", prompt)
    for index, item in enumerate(prompt if isinstance(prompt, list) else ()):
        tokens = item if isinstance(item, list) else [item]
        if not isinstance(item, str) and not all(type(token) is int for token in tokens):
            raise wrong_type(f"prompt[{index}]", "a string or token ids", item)
    validate(_CHECKS, body)
    if body.get("stream_options") is not None and not body.get("stream"):
        raise invalid("stream_options", "it is only allowed when 'stream' is true")


def chat_messages(body: JSON) -> list[JSON]:
    """Return a prompt as the messages of a chat, for agents.

    Raises:
        BadRequest: the prompt is more than one text, or a parameter needs a completion model.
    """
    for name in NOT_OF_CHATS:
        if body.get(name):
            raise BadRequest(
                f"This model does not support the parameter '{name}'.",
                param=name,
                code="unsupported_parameter",
            )
    prompt = body["prompt"]
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise invalid("prompt", "this model takes one text")
    return [{"role": "user", "content": prompt}]


def text_completion(response: JSON, name: str) -> JSON:
    """Return a non-streamed response, built from a provider's completion or chat."""
    built: JSON = {
        "id": object_id("cmpl-"),
        "object": "text_completion",
        "created": int(time.time()),
        "model": name,
        "choices": [
            _choice(choice, position, choice.get("message"))
            for position, choice in enumerate(response["choices"])
            if isinstance(choice, dict)
        ],
    }
    if (usage := part.usage(response.get("usage"))) is not None:
        built["usage"] = usage
    return built


def _choice(choice: JSON, position: int, message: Any) -> JSON:
    index = choice.get("index")
    reason = part.finish_reason(choice.get("finish_reason"))
    content = message.get("content") if isinstance(message, dict) else choice.get("text")
    return {
        "index": index if type(index) is int else position,
        "text": part.text(content) or "",
        "logprobs": _logprobs(choice.get("logprobs")),
        # A completion calls no tools.
        "finish_reason": reason if reason in ("stop", "length", "content_filter") else "stop",
    }


def _logprobs(logprobs: Any) -> JSON | None:
    """Return the log probabilities in the legacy format: lists with one item per token."""
    if not isinstance(logprobs, dict) or not isinstance(logprobs.get("tokens"), list):
        return None
    built: JSON = {}
    for field, kinds in _LOGPROBS.items():
        values = logprobs.get(field)
        built[field] = [v for v in values if isinstance(v, kinds)] if isinstance(values, list) else None
    top = logprobs.get("top_logprobs")
    built["top_logprobs"] = [_top(token) for token in top] if isinstance(top, list) else None
    return built


def _top(token: Any) -> dict[str, float] | None:
    if token is None:
        return None
    if not isinstance(token, dict):
        return {}
    return {text: value for text, value in token.items() if isinstance(value, int | float)}


class CompletionWriter:
    """Turns a provider's chunks, of a completion or a chat, into the events of a text completion."""

    def __init__(self, name: str, *, include_usage: bool) -> None:
        self.usage: JSON | None = None
        self.text: list[str] = []
        self._include_usage = include_usage
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._frame: JSON = {
            "id": object_id("cmpl-"),
            "object": "text_completion",
            "created": int(time.time()),
            "model": name,
        }

    @property
    def begun(self) -> bool:
        return bool(self._seen)

    @property
    def complete(self) -> bool:
        return bool(self._seen) and self._seen == self._finished

    def write(self, chunks: Sequence[JSON]) -> bytes:
        return b"".join([self._write(chunk) for chunk in chunks])

    def _write(self, chunk: JSON) -> bytes:
        if chunk.get("usage") is not None:
            self.usage = part.usage(chunk["usage"]) or self.usage
        built = []
        for position, choice in enumerate(chunk["choices"]):
            if not isinstance(choice, dict):
                continue
            written = _choice(choice, position, choice.get("delta"))
            if choice.get("finish_reason") is None:
                written["finish_reason"] = None
            else:
                self._finished.add(written["index"])
            self._seen.add(written["index"])
            self.text.append(written["text"])
            built.append(written)
        return self._event(built) if built else b""

    def _event(self, choices: list[JSON]) -> bytes:
        event: JSON = {**self._frame, "choices": choices}
        if self._include_usage:
            event["usage"] = None
        return b"data: " + orjson.dumps(event) + b"\n\n"

    def end(self, usage: JSON) -> bytes:
        events = b""
        for index in sorted(self._seen - self._finished):
            events += self._event([{"index": index, "text": "", "logprobs": None, "finish_reason": "stop"}])
        if self._include_usage:
            events += b"data: " + orjson.dumps({**self._frame, "choices": [], "usage": usage}) + b"\n\n"
        return events

    def done(self) -> bytes:
        return DONE
