"""Estimates of tokens, for providers that report none."""

from typing import Any

from gtapi.tokens import count

#: Characters of a text that are counted at most.
_COUNTED = 1_000_000
#: What a message costs besides its text: its role and the marks around it.
_PER_MESSAGE = 4


def estimate(text: str) -> int:
    """Return about how many tokens a text has; of a very long one, the beginning is counted."""
    if len(text) <= _COUNTED:
        return count(text)
    return count(text[:_COUNTED]) * len(text) // _COUNTED


def estimate_messages(messages: list[dict[str, Any]]) -> int:
    """Return about how many tokens a chat's messages have; images and audio count nothing."""
    texts = []
    for message in messages:
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"text": content}]
        texts += [p["text"] for p in parts if isinstance(p, dict) and isinstance(p.get("text"), str)]
    return estimate("\n".join(texts)) + _PER_MESSAGE * len(messages)


def estimate_input(given: str | list[Any]) -> int:
    """Return about how many tokens an input has: a text, token ids, or several of either."""
    if isinstance(given, str):
        return estimate(given)
    return sum(1 if isinstance(item, int) else estimate_input(item) for item in given)
