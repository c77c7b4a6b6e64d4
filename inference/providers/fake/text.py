"""Fake chats and completions. A token is a word."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

from gtapi.json_types import JSON
from inference.providers.fake.request import FakeRequest
from inference.providers.fake.schemas import example

_LIMITS = ("max_completion_tokens", "max_tokens")


def words(text: str) -> list[str]:
    """Return the words of a text, each with the blanks behind it."""
    return re.findall(r"\S+\s*", text)


def content_text(content: Any) -> str:
    """Return the text of a message's content, which may be text or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return " ".join(str(part["text"]) for part in parts if isinstance(part, dict) and "text" in part)


def usage(prompt: str, completions: list[str]) -> JSON:
    """Return the usage of a request."""
    used, written = len(prompt.split()), sum(len(text.split()) for text in completions)
    return {"prompt_tokens": used, "completion_tokens": written, "total_tokens": used + written}


def chat(request: FakeRequest) -> JSON:
    """Return a whole chat completion."""
    messages = _messages(request)
    message, reason = _reply(request, messages)
    choices = [
        {"index": at, "message": {"role": "assistant", **message}, "finish_reason": reason}
        for at in range(request.number("n", default=1))
    ]
    return {"choices": choices, "usage": _chat_usage(messages, message, len(choices))}


def chat_events(request: FakeRequest) -> Iterator[JSON]:
    """Yield the events of a streamed chat completion: one word, or one tool call, in each."""
    messages = _messages(request)
    message, reason = _reply(request, messages)
    count = request.number("n", default=1)
    for at in range(count):
        yield _chunk(at, {"role": "assistant", "content": ""})
        for word in words(message["content"] or ""):
            yield _chunk(at, {"content": word})
        for index, call in enumerate(message.get("tool_calls", ())):
            yield _chunk(at, {"tool_calls": [{"index": index, **call}]})
        yield _chunk(at, {}, reason)
    yield {"choices": [], "usage": _chat_usage(messages, message, count)}


def completion(request: FakeRequest) -> JSON:
    """Return a whole text completion: one choice for each prompt."""
    choices, used = _completions(request)
    return {"choices": choices, "usage": used}


def completion_events(request: FakeRequest) -> Iterator[JSON]:
    """Yield the events of a streamed text completion."""
    choices, used = _completions(request)
    for choice in choices:
        for word in words(choice["text"]):
            yield {"choices": [{**choice, "text": word, "finish_reason": None}]}
        yield {"choices": [{**choice, "text": ""}]}
    yield {"choices": [], "usage": used}


def _chunk(index: int, delta: JSON, reason: str | None = None) -> JSON:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": reason}]}


def _messages(request: FakeRequest) -> list[JSON]:
    messages = request.params.get("messages")
    return [m for m in messages if isinstance(m, dict)] if isinstance(messages, list) else []


def _chat_usage(messages: list[JSON], message: JSON, count: int) -> JSON:
    written = message["content"] or " ".join(
        call["function"]["arguments"] for call in message.get("tool_calls", ())
    )
    return usage(" ".join(content_text(m.get("content")) for m in messages), [written] * count)


def _reply(request: FakeRequest, messages: list[JSON]) -> tuple[JSON, str]:
    """Return the message and its finish reason."""
    if (tool := _forced_tool(request)) is not None:
        arguments = orjson.dumps(example(tool.get("parameters") or {"type": "object"})).decode()
        call = {
            "id": "call_fake",
            "type": "function",
            "function": {"name": tool.get("name"), "arguments": arguments},
        }
        return {"content": None, "tool_calls": [call]}, "tool_calls"
    asked = [content_text(m.get("content")) for m in messages if m.get("role") == "user"]
    text = request.options.reply or f"This is a fake response to: {asked[-1] if asked else ''}".rstrip()
    text, reason = _shortened(request, _formatted(request, text))
    return {"content": text}, reason


def _forced_tool(request: FakeRequest) -> JSON | None:
    """Return the function that the request's ``tool_choice`` forces the model to call."""
    tools = request.params.get("tools")
    functions = [tool["function"] for tool in tools or () if isinstance(tool.get("function"), dict)]
    choice = request.params.get("tool_choice")
    if choice == "required":
        return next(iter(functions), None)
    name = choice.get("function", {}).get("name") if isinstance(choice, dict) else None
    return next((function for function in functions if name and function.get("name") == name), None)


def _formatted(request: FakeRequest, text: str) -> str:
    """Return the text in the request's ``response_format``."""
    wanted = request.params.get("response_format")
    form = wanted if isinstance(wanted, dict) else {}
    kind = form.get("type")
    if kind == "json_object" and not request.options.reply:
        return orjson.dumps({"response": text}).decode()
    if kind == "json_schema" and not request.options.reply:
        return orjson.dumps(example((form.get("json_schema") or {}).get("schema") or {})).decode()
    return text


def _shortened(request: FakeRequest, text: str) -> tuple[str, str]:
    """Return the text up to a stop sequence or the limit on tokens, and the finish reason."""
    stop = request.params.get("stop")
    for sequence in [stop] if isinstance(stop, str) else stop or ():
        text = text.partition(sequence)[0] if sequence else text
    limit = request.number(*_LIMITS, default=1_000_000)
    written = words(text)
    if len(written) > limit:
        return "".join(written[:limit]).rstrip(), "length"
    return text, "stop"


def _completions(request: FakeRequest) -> tuple[list[JSON], JSON]:
    prompt = request.params.get("prompt")
    prompts = prompt if isinstance(prompt, list) and prompt and isinstance(prompt[0], str) else [prompt]
    texts = [item if isinstance(item, str) else "" for item in prompts]
    choices: list[JSON] = []
    for text in texts:
        reply = request.options.reply or f"This is a fake completion of: {text}".rstrip()
        written, reason = _shortened(request, reply)
        for _ in range(request.number("n", default=1)):
            choices.append(
                {"index": len(choices), "text": written, "logprobs": None, "finish_reason": reason}
            )
    return choices, usage(" ".join(texts), [choice["text"] for choice in choices])
