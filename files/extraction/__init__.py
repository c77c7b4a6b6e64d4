"""Text extraction from untrusted documents.

``extract`` reads a document in a child process with resource limits, without network and without the gateway's
secrets. The child runs ``files.extraction.__main__``, which does not import Django. Each format is a module and a
row in ``files.extraction.formats``.
"""

from pathlib import Path
from threading import Event

from files.extraction.detection import sniff_file, suffix_of
from files.extraction.sections import Cancelled, Extracted, ExtractionError, NeedsOCR, Section

__all__ = ["Cancelled", "Extracted", "ExtractionError", "NeedsOCR", "Section", "extract", "kind"]


def kind(path: Path, filename: str, content_type: str) -> str:
    """Return ``audio`` for a recording, which is transcribed, or ``document``, whose text is extracted.

    The content decides, then the file name's suffix, then the declared content type. Only the beginning of the file
    and the track types of an MP4 are read, so this is cheap and safe; ``extract`` may still reject the file.

    Raises:
        ExtractionError: empty_file, unsupported_file.
    """
    return "audio" if sniff_file(path, suffix_of(filename), content_type) == "audio" else "document"


def extract(
    path: Path, filename: str, content_type: str, *, ocr: bool = True, cancelled: Event | None = None
) -> Extracted:
    """Return the text of a document. Blocks for seconds, with OCR for minutes, so call it in a thread.

    Raises:
        ExtractionError: see its ``code``, and ``transient``.
        NeedsOCR: ``ocr`` is false, and the document has pages or images that need it.
        Cancelled: ``cancelled`` was set.
    """
    # Imported here because the child process imports this package too, and only the parent needs this module.
    from files.extraction.subprocess_runner import read

    return read(path, filename, content_type, ocr=ocr, cancelled=cancelled or Event())
