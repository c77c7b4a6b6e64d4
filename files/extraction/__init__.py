"""Text out of files that nobody vouches for.

``extract`` reads a file in a process of its own, with limits, no network and none of the gateway's secrets. What
works there is ``files.extraction.__main__``, without Django; a format is a small module and a line in
``files.extraction.formats``.
"""

from pathlib import Path

from files.extraction.detection import ending_of, sniff_file
from files.extraction.sections import Extracted, ExtractionError, GoesOn, Interrupted, Section

__all__ = ["Extracted", "ExtractionError", "Interrupted", "Section", "extract", "kind"]


def kind(path: Path, filename: str, content_type: str) -> str:
    """Say how a file is to be read: ``audio`` is transcribed, of a ``document`` the text is extracted.

    Its content decides, then the ending of its name, then what the client declared. Only the file's beginning is
    looked at, and the kinds of an MP4's tracks, so this is cheap and safe; ``extract`` may still find that it
    cannot be read.

    Raises:
        ExtractionError: empty_file, unsupported_file.
    """
    return "audio" if sniff_file(path, ending_of(filename), content_type) == "audio" else "document"


def extract(path: Path, filename: str, content_type: str, goes_on: GoesOn = lambda _: True) -> Extracted:
    """Return the text of a document; blocks for seconds, and for minutes at most, so call it in a thread.

    Raises:
        ExtractionError: see its ``code`` and whether it is ``transient``.
        Interrupted: ``goes_on`` said no.
    """
    # What starts the process is for Django's side alone, and the process imports this package, too.
    from files.extraction.subprocess_runner import read

    return read(path, filename, content_type, goes_on)
