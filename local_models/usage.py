"""Usage of models that have no tokens. They count words on the text's side, and say what they count on theirs."""

import re

#: A word, or a sign between words.
WORD = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> int:
    """Return how many words and signs a text has, at least one."""
    return max(1, sum(1 for _ in WORD.finditer(text)))


def usage(read: int, written: int) -> dict[str, int]:
    """Return OpenAI's usage of the audio and image routes."""
    return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
