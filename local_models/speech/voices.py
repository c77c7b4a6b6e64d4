"""OpenAI's voices, each played by a voice of eSpeak NG, which has languages and variants of one speaker."""

import re

#: OpenAI's name -> eSpeak's language and variant. Of all variants, transcriptions of alloy have the fewest errors.
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
#: eSpeak's own names are welcome, too: ``de``, ``fr``, ``en-us+f2``. No other letter gets to its file names.
OWN_NAME = re.compile(r"[A-Za-z0-9-]{2,20}(\+[A-Za-z0-9]{1,20})?")


def espeak_name(voice: str) -> str | None:
    """Return eSpeak's name for a voice, or None for what can be no name; eSpeak may still not know it."""
    if voice in VOICES:
        return VOICES[voice]
    return voice if OWN_NAME.fullmatch(voice) else None
