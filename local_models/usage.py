"""Usage of models without a tokenizer: words of text, and tokens per second of audio."""

import re

#: A word, or a punctuation mark.
WORD = re.compile(r"\w+|[^\w\s]")
#: Whisper reads one token per fiftieth of a second; speech is counted in the same unit.
AUDIO_TOKENS_PER_SECOND = 50


def count_words(text: str) -> int:
    """Return the number of words and punctuation marks, at least 1."""
    return max(1, sum(1 for _ in WORD.finditer(text)))


def usage(read: int, written: int) -> dict[str, int]:
    """Return OpenAI's ``usage`` of the audio and image routes."""
    return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
