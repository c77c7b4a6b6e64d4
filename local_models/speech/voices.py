"""Maps OpenAI's voices to languages and speaker variants of eSpeak NG."""

import re

#: OpenAI's name -> eSpeak's language and variant. Of all variants, alloy is transcribed with the fewest errors.
VOICES = {
    "alloy": "en-us+m6",
    "ash": "en-us+m5",
    "ballad": "en-us+m4",
    "cedar": "en-us",
    "coral": "en-us+f2",
    "echo": "en-us+m1",
    "fable": "en-us+edward",
    "marin": "en-us+f3",
    "nova": "en-us+f4",
    "onyx": "en-us+m7",
    "sage": "en-us+f5",
    "shimmer": "en-us+aunty",
    "verse": "en-us+Gene",
}
#: eSpeak's own names, such as ``de`` and ``en-us+f2``. They become file names, so the characters are limited.
ESPEAK_NAME = re.compile(r"[A-Za-z0-9-]{2,20}(\+[A-Za-z0-9]{1,20})?")


def espeak_name(voice: str) -> str | None:
    """Return eSpeak's name for a voice, which may not exist, or None if the name is malformed."""
    if voice in VOICES:
        return VOICES[voice]
    return voice if ESPEAK_NAME.fullmatch(voice) else None
