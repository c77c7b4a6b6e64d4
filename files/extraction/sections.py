"""What an extraction gives back, and how it fails."""

from collections.abc import Callable
from dataclasses import dataclass

#: Whether to go on with a file, asked some times a second; it is told whether letters are being recognised.
GoesOn = Callable[[bool], bool]


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a document's text under one heading; ``page`` counts pages or slides from 1."""

    text: str
    page: int | None = None
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Omission:
    """What was left out of a document that has been read otherwise: a sentence for the client."""

    warning: str


@dataclass(frozen=True, slots=True)
class Extracted:
    """The text of a document in its order, and a sentence on what is missing there; mostly none."""

    sections: list[Section]
    warning: str = ""


class Interrupted(Exception):
    """Whoever asked for a file's text did not go on with it."""


class ExtractionError(Exception):
    """A file gave no text.

    ``code`` is one of the keys of ``MESSAGES``; ``message`` is a sentence for the client. ``transient`` says that
    the same file may well be read at another attempt: the reading process died, or got no time to work in.
    """

    def __init__(self, code: str, message: str = "", *, transient: bool = False) -> None:
        super().__init__(message or MESSAGES[code])
        self.code = code
        self.message = message or MESSAGES[code]
        self.transient = transient


MESSAGES = {
    "unsupported_file": "Files of this kind cannot be read.",
    "empty_file": "The file is empty.",
    "encrypted_file": "The file is encrypted or protected by a password, and has to be unlocked first.",
    "broken_file": "The file is damaged, or is not what its name says.",
    "no_text": "No text was found in the file.",
    "file_too_complex": "The file takes more time, memory or room to read than is allowed.",
    "extraction_failed": "The file could not be read just now.",
}
