"""Alignment of the messages that a client resends with those that its conversation already stores."""

from collections.abc import Sequence

import orjson

from gtapi.json_types import JSON


def split(messages: Sequence[JSON]) -> tuple[list[JSON], list[JSON]]:
    """Return the messages that a client has resent, and the new ones: those after its last assistant message."""
    last = max((at for at, message in enumerate(messages) if message["role"] == "assistant"), default=-1)
    return list(messages[: last + 1]), list(messages[last + 1 :])


def align(stored: Sequence[JSON], resent: Sequence[JSON]) -> tuple[int, list[JSON]]:
    """Compare the messages that a client has resent with those that its conversation stores.

    Returns how many of the stored messages remain, and which of the resent ones are to be adopted after them.
    A client that resends the conversation, all of it or without its beginning, changes nothing. One that resends
    less of its end, or something else, replaces the rest.
    """
    if not resent:
        return len(stored), []
    ours, theirs = [_fingerprint(m) for m in stored], [_fingerprint(m) for m in resent]
    # Knuth-Morris-Pratt: the conversation is locked meanwhile, so this must take linear time.
    borders = _borders(theirs)
    longest, remaining, matched = 0, 0, 0
    for index, fingerprint in enumerate(ours):
        while matched and (matched == len(theirs) or fingerprint != theirs[matched]):
            matched = borders[matched - 1]
        matched += fingerprint == theirs[matched]
        # The last place where all of it matches counts, or the first one of those where most of it does.
        if matched > longest or matched == len(theirs):
            longest, remaining = matched, index + 1
    return remaining, list(resent[longest:])


def _borders(sequence: Sequence[bytes]) -> list[int]:
    """Return, for each beginning of a sequence, the length of the longest shorter one that it ends with."""
    borders = [0] * len(sequence)
    length = 0
    for index in range(1, len(sequence)):
        while length and sequence[index] != sequence[length]:
            length = borders[length - 1]
        length += sequence[index] == sequence[length]
        borders[index] = length
    return borders


def _fingerprint(message: JSON) -> bytes:
    """Return what identifies a message, however a client writes it."""
    content = message.get("content")
    if isinstance(content, list) and all(part.get("type") == "text" for part in content):
        content = "".join(part["text"] for part in content)
    if isinstance(content, str):
        content = content.strip()
    calls = [
        [call.get("id"), (call.get("function") or call.get("custom") or {})]
        for call in message.get("tool_calls") or ()
    ]
    identity = [message["role"], content or None, calls, message.get("tool_call_id")]
    return orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)
