"""Estimates of tokens, for providers that report none."""

from typing import Any

import orjson

from gtapi.tokenizer import count_tokens

#: Characters of a text that are counted at most.
_COUNTED = 1_000_000
#: What a message costs besides its text: its role and the marks around it.
_PER_MESSAGE = 4
#: Where a chat gives tools, and where a call of one has text.
_DEFINED = ("tools", "functions")
_CALLED = ("name", "arguments", "input")


def estimate(text: str) -> int:
    """Return about how many tokens a text has; of a very long one, the beginning is counted."""
    if len(text) <= _COUNTED:
        return count_tokens(text)
    return count_tokens(text[:_COUNTED]) * len(text) // _COUNTED


def estimate_messages(messages: list[dict[str, Any]]) -> int:
    """Estimate the tokens of a chat's messages and tool calls; images and audio are not counted."""
    texts = []
    for message in messages:
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"text": content}]
        texts += [p["text"] for p in parts if isinstance(p, dict) and isinstance(p.get("text"), str)]
        for call in message.get("tool_calls") or ():
            called = call.get("function") or call.get("custom")
            if isinstance(called, dict):
                texts += [called[name] for name in _CALLED if isinstance(called.get(name), str)]
    return estimate("\n".join(texts)) + _PER_MESSAGE * len(messages)


def definitions(sent: dict[str, Any]) -> str:
    """Return the tool definitions of a chat as text, to estimate their tokens; empty if there are none."""
    return "\n".join(orjson.dumps(sent[name]).decode() for name in _DEFINED if sent.get(name))


def estimate_chat(sent: dict[str, Any]) -> int:
    """Estimate the tokens of a chat's prompt: its messages and its tools."""
    return estimate_messages(sent["messages"]) + estimate(definitions(sent))


def estimate_input(value: str | list[Any]) -> int:
    """Estimate the tokens of an input: a text, token ids, or a list of either."""
    if isinstance(value, str):
        return estimate(value)
    return sum(1 if isinstance(item, int) else estimate_input(item) for item in value)
