"""What a file is: by its content first, then by its name's ending, then by the type that was declared."""

import zipfile
from pathlib import Path, PurePosixPath

from files.extraction.sections import ExtractionError

#: What files of other kinds begin with.
BEGINNINGS = {b"%PDF-": "pdf", b"{\\rtf": "rtf", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "ole"}
#: Members that tell what a zip archive is.
MEMBERS = {"word/document.xml": "docx", "ppt/presentation.xml": "pptx", "xl/workbook.xml": "xlsx"}
ENDINGS = {
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".md": "markdown",
    ".markdown": "markdown",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".eml": "email",
}
TYPES = {
    "text/html": "html",
    "text/markdown": "markdown",
    "text/csv": "csv",
    "application/json": "json",
    "message/rfc822": "email",
}
SOUNDS = (b"ID3", b"OggS", b"fLaC", b"\x1a\x45\xdf\xa3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")
_LOOKED_AT = 8192


def detect(path: Path, filename: str, content_type: str) -> str:
    """Return the name of a format, or ``audio``. Raises ExtractionError: empty_file, unsupported_file."""
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
    if not start:
        raise ExtractionError("empty_file")
    if start.startswith(SOUNDS) or (start[:4] == b"RIFF" and start[8:12] == b"WAVE") or start[4:8] == b"ftyp":
        return "audio"
    for beginning, name in BEGINNINGS.items():
        if start.startswith(beginning):
            return name
    if start.startswith(b"PK\x03\x04"):
        return _zipped(path)
    if b"\0" in start and not start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ExtractionError("unsupported_file")
    ending = PurePosixPath(filename).suffix.lower()
    return ENDINGS.get(ending) or TYPES.get(content_type.split(";", maxsplit=1)[0].strip().lower()) or "text"


def _zipped(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            declared = archive.read("mimetype")[:100].strip() if "mimetype" in names else b""
    except (zipfile.BadZipFile, NotImplementedError, OSError):
        raise ExtractionError("broken_file") from None
    for member, name in MEMBERS.items():
        if member in names:
            return name
    if declared == b"application/epub+zip":
        return "epub"
    if declared.startswith(b"application/vnd.oasis.opendocument.text"):
        return "odt"
    raise ExtractionError("unsupported_file", "Archives are not read; upload the files in them.")
