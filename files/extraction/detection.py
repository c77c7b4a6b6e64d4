"""What a file is: by its content first, then by its name's ending, then by the type that was declared."""

import zipfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from files.extraction.mp4 import tracks
from files.extraction.sections import ExtractionError

#: Bytes that tell what a file is, at its very beginning.
BEGINNINGS = {
    b"{\\rtf": "rtf",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "ole",
    b"\x89PNG\r\n\x1a\n": "image",
    b"\xff\xd8\xff": "image",
    b"GIF87a": "image",
    b"GIF89a": "image",
    b"II*\0": "image",
    b"MM\0*": "image",
    b"ID3": "audio",
    b"fLaC": "audio",
}
#: What is read by the words that only text can hold, where nothing above fits.
ENDINGS = {
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".md": "markdown",
    ".markdown": "markdown",
    ".mdx": "markdown",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".geojson": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".ipynb": "notebook",
    ".rst": "rst",
    ".eml": "email",
}
TYPES = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/markdown": "markdown",
    "text/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/json": "json",
    "message/rfc822": "email",
}
#: Text in Unicode's wider forms, whose NUL characters are no sign of a binary.
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
_ARCHIVES = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07")
_PROGRAMS = (b"\x7fELF", b"MZ", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\0asm")
_HTML = (b"<!doctype html", b"<html")
#: Bytes of the beginning: more than a frame of AAC can have.
_LOOKED_AT = 8192
#: Tracks of an MP4 that say what it is; others are subtitles, chapters and the like.
_TOLD_APART = {b"soun", b"vide"}
#: Share of control characters from which on it is no text; compressed data has a tenth.
_TOO_MANY_CONTROLS = 0.03
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\b\x1b")) + b"\x7f"
#: Words of an Office file's list of its parts, and what they say that it is.
_PARTS = {
    b"wordprocessingml.document.main": "docx",
    b"ms-word.document.macroEnabled.main": "docx",
    b"presentationml.presentation.main": "pptx",
    b"presentationml.slideshow.main": "pptx",
    b"ms-powerpoint.presentation.macroEnabled.main": "pptx",
    b"spreadsheetml.sheet.main": "xlsx",
    b"ms-excel.sheet.macroEnabled.main": "xlsx",
}
_LIST_OF_PARTS = "[Content_Types].xml"
_LONGEST_LIST = 4 * 1024 * 1024
#: Bytes that the members of a zip archive may have together, and how many times its own size they may be.
MOST_UNPACKED = 1024 * 1024 * 1024
MOST_PACKED = 100
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")


def ending_of(filename: str) -> str:
    return PurePosixPath(filename).suffix.lower()[:20]


def sniff(file: BinaryIO, ending: str, content_type: str) -> str:
    """Return what a file says of itself at its beginning: a format, ``audio``, ``zip`` or ``ole``.

    Raises:
        ExtractionError: empty_file, unsupported_file.
    """
    start = file.read(_LOOKED_AT)
    if not start:
        raise ExtractionError("empty_file")
    found = _by_beginning(start, file, ending, content_type)
    if found:
        return found
    if not start.startswith(_WIDE) and not wide(start):
        if start.startswith((*_ARCHIVES, *_PROGRAMS)) or start[257:262] == b"ustar":
            raise ExtractionError("unsupported_file", "Archives and programs are not read.")
        if sum(map(start.count, _CONTROLS_EACH)) > _TOO_MANY_CONTROLS * len(start):
            raise ExtractionError("unsupported_file")
    if start.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_HTML):
        return "html"
    declared = content_type.partition(";")[0].strip().lower()
    return ENDINGS.get(ending) or TYPES.get(declared) or "text"


_CONTROLS_EACH = [bytes([control]) for control in _CONTROLS]


def wide(start: bytes) -> str:
    """Return the encoding of UTF-16 without a mark, which European text shows by its zeros; empty for others."""
    pairs = len(start) // 2
    if pairs < 2:
        return ""
    zeros = start[0 : 2 * pairs : 2].count(0) / pairs, start[1 : 2 * pairs : 2].count(0) / pairs
    if zeros[0] < 0.05 and zeros[1] > 0.7:
        return "utf-16-le"
    return "utf-16-be" if zeros[1] < 0.05 and zeros[0] > 0.7 else ""


def _by_beginning(start: bytes, file: BinaryIO, ending: str, content_type: str) -> str:
    for beginning, name in BEGINNINGS.items():
        if start.startswith(beginning):
            return name
    # The standard lets something stand before it, and other files may speak of it.
    if start.lstrip().startswith(b"%PDF-"):
        return "pdf"
    if b"%PDF-" in start[:1024] and (ending == ".pdf" or content_type == "application/pdf"):
        return "pdf"
    if start[:4] == b"RIFF":
        found = {b"WAVE": "audio", b"WEBP": "image"}.get(start[8:12])
        if found:
            return found
    if start[:2] == b"BM" and start[6:10] == b"\0\0\0\0":
        return "image"
    return "audio" if _sounds(start, file, ending, content_type) else ""


def _sounds(start: bytes, file: BinaryIO, ending: str, content_type: str) -> bool:
    """Whether it is sound in a form that may hold pictures, too. Raises ExtractionError for films."""
    if start[:4] == b"OggS":
        film = b"\x80theora" in start
    elif start[:4] == b"\x1a\x45\xdf\xa3":
        film = b"V_" in start or (b"A_" not in start and not content_type.startswith("audio/"))
    elif start[4:8] == b"ftyp":
        if start[8:12] in {b"heic", b"heix", b"mif1", b"avif"}:
            raise ExtractionError("unsupported_file", "Images of this kind are not read; PNG and JPEG are.")
        named = start[8:11] in {b"M4A", b"M4B", b"M4P"} or ending == ".m4a"
        film = not (named or content_type.startswith("audio/") or tracks(file) & _TOLD_APART == {b"soun"})
    else:
        return _mp3(start) or _aac(start)
    if film:
        raise ExtractionError("unsupported_file", "Films are not read; upload their sound.")
    return True


def _mp3(start: bytes) -> bool:
    """Whether a frame of MPEG sound begins here: eleven set bits, layer III, a bit rate and a sampling rate."""
    frame = len(start) > 3 and start[0] == 0xFF and start[1] & 0xE6 == 0xE2
    return frame and start[2] & 0xF0 != 0xF0 and start[2] & 0x0C != 0x0C


def _aac(start: bytes) -> bool:
    """Whether a frame of AAC begins here (ADTS), and another one where it ends, or nothing."""
    if len(start) < 7 or not _begins_aac(start) or start[2] >> 2 & 15 > 12:
        return False
    length = (start[3] & 3) << 11 | start[4] << 3 | start[5] >> 5
    return length > 7 and (len(start) <= length or _begins_aac(start[length:]))


def _begins_aac(data: bytes) -> bool:
    return len(data) > 1 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0


def sniff_file(path: Path, ending: str, content_type: str) -> str:
    with path.open("rb") as file:
        return sniff(file, ending, content_type)


def detect(path: Path, ending: str, content_type: str) -> str:
    """Return the name of a format; looks into archives, so a hostile one may take memory.

    Raises:
        ExtractionError: empty_file, unsupported_file, encrypted_file, broken_file, file_too_complex.
    """
    found = sniff_file(path, ending, content_type)
    if found == "zip":
        return _zipped(path)
    if found == "ole":
        # What Office encrypts, it wraps in the container of its old formats.
        if _ENCRYPTED_PACKAGE in path.read_bytes():
            raise ExtractionError("encrypted_file")
        raise ExtractionError(
            "unsupported_file", "Office files of before 2007 are not read; save them as DOCX, XLSX or PPTX."
        )
    return found


def _zipped(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            _weigh(archive.infolist(), path.stat().st_size)
            names = set(archive.namelist())
            parts = _beginning(archive, _LIST_OF_PARTS) if _LIST_OF_PARTS in names else b""
            declared = _beginning(archive, "mimetype").strip() if "mimetype" in names else b""
            locks = _beginning(archive, "META-INF/manifest.xml") if "META-INF/manifest.xml" in names else b""
    except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError, ValueError):
        raise ExtractionError("broken_file") from None
    if b"encryption-data" in locks or "META-INF/rights.xml" in names or "META-INF/license.lcpl" in names:
        raise ExtractionError("encrypted_file")
    for words, name in _PARTS.items():
        if words in parts:
            return name
    if declared == b"application/epub+zip":
        return "epub"
    if declared == b"application/vnd.oasis.opendocument.text":
        return "odt"
    raise ExtractionError("unsupported_file", "Archives are not read; upload the files in them.")


def _weigh(members: list[zipfile.ZipInfo], size: int) -> None:
    if any(member.flag_bits & 1 for member in members):
        raise ExtractionError("encrypted_file")
    unpacked = sum(member.file_size for member in members)
    if unpacked > MOST_UNPACKED or unpacked > MOST_PACKED * size + 16 * 1024 * 1024:
        raise ExtractionError("file_too_complex", "The file unpacks to more than is allowed.")


def _beginning(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as member:
        return member.read(_LONGEST_LIST)
