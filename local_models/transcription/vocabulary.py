"""Whisper's tokens: the byte pairs of GPT-2, then special ones, then one for each fiftieth of a second."""

from collections.abc import Sequence
from pathlib import Path

import tiktoken

#: Tokens that stand for text; the special ones follow.
TEXT_TOKENS = 50256
#: How GPT-2 cuts a text into words before it looks for byte pairs.
WORDS = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SECONDS_PER_STAMP = 0.02


class Vocabulary:
    """The tokens of the model in a folder."""

    def __init__(self, folder: Path) -> None:
        names = (folder / "vocabulary.txt").read_text(encoding="utf-8").split("\n")
        self.start = names.index("<|startoftranscript|>")
        self.previous = names.index("<|startofprev|>")
        self.first_stamp = names.index("<|0.00|>")
        letters = _letters()
        ranks = {bytes(letters[letter] for letter in names[rank]): rank for rank in range(TEXT_TOKENS)}
        self._encoding = tiktoken.Encoding(
            "whisper-english", pat_str=WORDS, mergeable_ranks=ranks, special_tokens={}
        )

    def tokens(self, text: str) -> list[int]:
        """Return the tokens of a text."""
        return self._encoding.encode_ordinary(text)

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text that some tokens stand for; the special ones stand for none."""
        return self._encoding.decode([token for token in tokens if token < TEXT_TOKENS])

    def begins_word(self, token: int) -> bool:
        """Tell whether a token of text is the beginning of a word."""
        return self._encoding.decode_single_token_bytes(token).startswith(b" ")

    def is_stamp(self, token: int) -> bool:
        return token >= self.first_stamp

    def seconds(self, stamp: int) -> float:
        """Return the time in the window that a stamp stands for."""
        return (stamp - self.first_stamp) * SECONDS_PER_STAMP

    def stamp(self, seconds: float) -> int:
        """Return the stamp for a time in the window."""
        return self.first_stamp + round(seconds / SECONDS_PER_STAMP)


def _letters() -> dict[str, int]:
    """Return the byte for each letter in which the vocabulary is written: those that print mean themselves."""
    printing = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printing]
    return {chr(byte): byte for byte in printing} | {
        chr(256 + place): byte for place, byte in enumerate(others)
    }
