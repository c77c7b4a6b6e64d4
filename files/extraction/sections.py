"""Types that extraction returns (sections of text, omissions), and its errors with their codes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Section:
    """Text of a document under one heading; ``page`` counts pages or slides from 1."""

    text: str
    page: int | None = None
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Omission:
    """A part of a document that could not be read: a sentence for the client."""

    warning: str


@dataclass(frozen=True, slots=True)
class StartOCR:
    """Yielded by an extractor before it starts OCR, which takes minutes and may not be allowed here."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """The text of a document in order; ``warning`` says what is missing, if anything."""

    sections: list[Section]
    warning: str = ""


class NeedsOCR(Exception):
    """The document can only be read with OCR, which was not allowed."""


class Cancelled(Exception):
    """The caller cancelled the extraction."""


class ExtractionError(Exception):
    """The document could not be read.

    ``code`` is a key of ``MESSAGES``; ``message`` is a sentence for the client. ``transient`` is true if another
    attempt may succeed: the extraction process died or got too little processor time.
    """

    def __init__(self, code: str, message: str = "", *, transient: bool = False) -> None:
        super().__init__(message or MESSAGES[code])
        self.code = code
        self.message = message or MESSAGES[code]
        self.transient = transient


MESSAGES = {
    "unsupported_file": "This file type is not supported.",
    "empty_file": "The file is empty.",
    "encrypted_file": "The file is encrypted or password-protected. Remove the password and upload it again.",
    "broken_file": "The file is damaged, or its content does not match its type.",
    "no_text": "No text was found in the file.",
    "file_too_complex": "Reading the file takes more time, memory or space than allowed.",
    "extraction_failed": "The file could not be read at the moment. Process it again.",
}
