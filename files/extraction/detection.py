"""Detects a file's format: from its content, then its name's suffix, then the declared content type."""

import zipfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from files.extraction.mp4 import tracks
from files.extraction.sections import ExtractionError

#: Signatures at the beginning of a file, and the format of each.
SIGNATURES = {
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
#: Formats of text by suffix, which decides if no signature matches.
SUFFIXES = {
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
CONTENT_TYPES = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/markdown": "markdown",
    "text/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/json": "json",
    "message/rfc822": "email",
}
#: Byte order marks of UTF-16 and UTF-32, in which NUL bytes do not mean a binary file.
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
_ARCHIVES = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07")
_PROGRAMS = (b"\x7fELF", b"MZ", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\0asm")
_HTML = (b"<!doctype html", b"<html")
#: Bytes that are read for detection: more than an AAC frame has.
_SNIFFED = 8192
#: Track types of an MP4 that decide; others are subtitles, chapters and the like.
_AUDIO_OR_VIDEO = {b"soun", b"vide"}
#: Share of control characters above which a file is binary; compressed data have a tenth.
_MAX_CONTROLS = 0.03
_CONTROLS = [bytes([code]) for code in (set(range(32)) - set(b"\t\n\v\f\r\b\x1b")) | {0x7F}]
#: Content types of an Office file's main part, and the format that each means.
_OFFICE_PARTS = {
    b"wordprocessingml.document.main": "docx",
    b"ms-word.document.macroEnabled.main": "docx",
    b"presentationml.presentation.main": "pptx",
    b"presentationml.slideshow.main": "pptx",
    b"ms-powerpoint.presentation.macroEnabled.main": "pptx",
    b"spreadsheetml.sheet.main": "xlsx",
    b"ms-excel.sheet.macroEnabled.main": "xlsx",
}
_PARTS_LIST = "[Content_Types].xml"
_MAX_PARTS_LIST = 4 * 1024 * 1024
#: Bytes that the members of a zip archive may have uncompressed, and how many times its size they may be.
MAX_UNCOMPRESSED = 1024 * 1024 * 1024
MAX_RATIO = 100
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")


def suffix_of(filename: str) -> str:
    """Return the suffix of a file name in lower case, such as ``.pdf``."""
    return PurePosixPath(filename).suffix.lower()[:20]


def sniff(file: BinaryIO, suffix: str, content_type: str) -> str:
    """Return what the beginning of a file shows: a format, ``audio``, ``zip`` or ``ole``.

    Raises:
        ExtractionError: empty_file, unsupported_file.
    """
    start = file.read(_SNIFFED)
    if not start:
        raise ExtractionError("empty_file")
    binary = _binary_format(start, file, suffix, content_type)
    if binary:
        return binary
    if not start.startswith(_WIDE) and not utf16_encoding(start):
        if start.startswith((*_ARCHIVES, *_PROGRAMS)) or start[257:262] == b"ustar":
            raise ExtractionError("unsupported_file", "Archives and programs are not supported.")
        if sum(map(start.count, _CONTROLS)) > _MAX_CONTROLS * len(start):
            raise ExtractionError("unsupported_file")
    if start.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_HTML):
        return "html"
    declared = content_type.partition(";")[0].strip().lower()
    return SUFFIXES.get(suffix) or CONTENT_TYPES.get(declared) or "text"


def utf16_encoding(start: bytes) -> str:
    """Return the encoding of UTF-16 text without a byte order mark, by its zero bytes; empty for other files."""
    pairs = len(start) // 2
    if pairs < 2:
        return ""
    zeros = start[0 : 2 * pairs : 2].count(0) / pairs, start[1 : 2 * pairs : 2].count(0) / pairs
    if zeros[0] < 0.05 and zeros[1] > 0.7:
        return "utf-16-le"
    return "utf-16-be" if zeros[1] < 0.05 and zeros[0] > 0.7 else ""


def _binary_format(start: bytes, file: BinaryIO, suffix: str, content_type: str) -> str:
    for signature, name in SIGNATURES.items():
        if start.startswith(signature):
            return name
    # The standard allows bytes before the signature, and text files may mention it.
    if start.lstrip().startswith(b"%PDF-"):
        return "pdf"
    if b"%PDF-" in start[:1024] and (suffix == ".pdf" or content_type == "application/pdf"):
        return "pdf"
    if start[:4] == b"RIFF":
        riff_format = {b"WAVE": "audio", b"WEBP": "image"}.get(start[8:12])
        if riff_format:
            return riff_format
    if start[:2] == b"BM" and start[6:10] == b"\0\0\0\0":
        return "image"
    return "audio" if _is_audio(start, file, suffix, content_type) else ""


def _is_audio(start: bytes, file: BinaryIO, suffix: str, content_type: str) -> bool:
    """Return whether a file in a format of audio or video is audio. Raises ExtractionError for video."""
    if start[:4] == b"OggS":
        video = b"\x80theora" in start
    elif start[:4] == b"\x1a\x45\xdf\xa3":
        video = b"V_" in start or (b"A_" not in start and not content_type.startswith("audio/"))
    elif start[4:8] == b"ftyp":
        if start[8:12] in {b"heic", b"heix", b"mif1", b"avif"}:
            raise ExtractionError(
                "unsupported_file",
                "HEIC and AVIF images are not supported. Convert the image to PNG or JPEG.",
            )
        is_named_audio = start[8:11] in {b"M4A", b"M4B", b"M4P"} or suffix == ".m4a"
        video = not (
            is_named_audio or content_type.startswith("audio/") or tracks(file) & _AUDIO_OR_VIDEO == {b"soun"}
        )
    else:
        return _is_mp3(start) or _is_aac(start)
    if video:
        raise ExtractionError("unsupported_file", "Videos are not supported. Upload the audio track.")
    return True


def _is_mp3(start: bytes) -> bool:
    """Return whether an MPEG audio frame begins here: sync word, layer III, valid bit rate and sampling rate."""
    frame = len(start) > 3 and start[0] == 0xFF and start[1] & 0xE6 == 0xE2
    return frame and start[2] & 0xF0 != 0xF0 and start[2] & 0x0C != 0x0C


def _is_aac(start: bytes) -> bool:
    """Return whether an AAC frame (ADTS) begins here, followed by another one or by nothing."""
    if len(start) < 7 or not _is_aac_frame(start) or start[2] >> 2 & 15 > 12:
        return False
    length = (start[3] & 3) << 11 | start[4] << 3 | start[5] >> 5
    return length > 7 and (len(start) <= length or _is_aac_frame(start[length:]))


def _is_aac_frame(data: bytes) -> bool:
    return len(data) > 1 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0


def sniff_file(path: Path, suffix: str, content_type: str) -> str:
    with path.open("rb") as file:
        return sniff(file, suffix, content_type)


def detect(path: Path, suffix: str, content_type: str) -> str:
    """Return the name of a file's format. It opens archives, and a hostile one may take a lot of memory.

    Raises:
        ExtractionError: empty_file, unsupported_file, encrypted_file, broken_file, file_too_complex.
    """
    name = sniff_file(path, suffix, content_type)
    if name == "zip":
        return _zip_format(path)
    if name == "ole":
        # Office wraps encrypted files in the container of its old formats.
        if _ENCRYPTED_PACKAGE in path.read_bytes():
            raise ExtractionError("encrypted_file")
        raise ExtractionError(
            "unsupported_file",
            "Office files from before 2007 are not supported. Save the file as DOCX, XLSX or PPTX.",
        )
    return name


def _zip_format(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive.infolist(), path.stat().st_size)
            names = set(archive.namelist())
            parts = _read_member(archive, _PARTS_LIST) if _PARTS_LIST in names else b""
            declared = _read_member(archive, "mimetype").strip() if "mimetype" in names else b""
            manifest = (
                _read_member(archive, "META-INF/manifest.xml") if "META-INF/manifest.xml" in names else b""
            )
    except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError, ValueError):
        raise ExtractionError("broken_file") from None
    if b"encryption-data" in manifest or "META-INF/rights.xml" in names or "META-INF/license.lcpl" in names:
        raise ExtractionError("encrypted_file")
    for content_type, name in _OFFICE_PARTS.items():
        if content_type in parts:
            return name
    if declared == b"application/epub+zip":
        return "epub"
    if declared == b"application/vnd.oasis.opendocument.text":
        return "odt"
    raise ExtractionError(
        "unsupported_file", "Archives are not supported. Upload the files in it one by one."
    )


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    if any(member.flag_bits & 1 for member in members):
        raise ExtractionError("encrypted_file")
    uncompressed = sum(member.file_size for member in members)
    if uncompressed > MAX_UNCOMPRESSED or uncompressed > MAX_RATIO * size + 16 * 1024 * 1024:
        raise ExtractionError(
            "file_too_complex", "The file's content is larger than allowed once decompressed."
        )


def _read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as member:
        return member.read(_MAX_PARTS_LIST)
