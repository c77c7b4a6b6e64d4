"""Stored files: their bytes in Django's storage under random names, their filenames and media types."""

import hashlib
import logging
import mimetypes
import re
import secrets
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from django.core.files import File as DjangoFile
from django.core.files.storage import default_storage

logger = logging.getLogger(__name__)

FOLDER = "files"
MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}/[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")
UNKNOWN = "application/octet-stream"
MAX_FILENAME = 255
MAX_ENDING = 20
#: Media types whose content a browser may execute.
ACTIVE = re.compile(r".*(html|xml|script|svg|flash)", re.IGNORECASE)
#: Bidirectional formatting characters, which would make ``gpj.exe`` read ``exe.jpg``.
_BIDI_CONTROLS = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class MovableFile(DjangoFile):  # type: ignore[type-arg] # not generic at run time
    """A local file that Django's file system storage moves instead of copying."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.open("rb"), name=path.name)
        self._path = path

    def temporary_file_path(self) -> str:
        """Return its path; Django moves files that have this method."""
        return str(self._path)


def open_file(name: str) -> "DjangoFile[bytes]":
    """Open a stored file for reading.

    Raises:
        FileNotFoundError: there is no file of that name.
    """
    return default_storage.open(name, "rb")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, without reading it into memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def new_name() -> str:
    """Return a random name in storage, which cannot be guessed."""
    token = secrets.token_hex(16)
    return f"{FOLDER}/{token[:2]}/{token}"


def put(path: Path, name: str) -> None:
    """Store a file under a new name. It is moved if storage is a folder on the same disk."""
    with MovableFile(path) as file:
        stored = default_storage.save(name, file)
    if stored != name:
        raise RuntimeError(f"{name} already exists")


def delete(names: Iterable[str]) -> list[str]:
    """Delete files from storage and return the names that succeeded; failures are logged."""
    deleted = []
    for name in names:
        try:
            default_storage.delete(name)
        except Exception:  # depends on the storage backend
            logger.exception("%s cannot be deleted from storage", name)
        else:
            deleted.append(name)
    return deleted


def clean_filename(filename: str) -> str:
    """Return a client's filename for display: without folders, on one line, at most 255 characters."""
    name = re.split(r"[/\\]", unicodedata.normalize("NFC", filename))[-1]
    name = "".join(
        c for c in name if unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") and c not in _BIDI_CONTROLS
    )
    name = name.strip()
    if not name.strip("."):
        return "file"
    stem, dot, ending = name.rpartition(".")
    if len(name) <= MAX_FILENAME or not stem or len(ending) > MAX_ENDING:
        return name[:MAX_FILENAME]
    return f"{stem[: MAX_FILENAME - len(ending) - 1]}{dot}{ending}"


def safe_media_type(content_type: str) -> str:
    """Return the media type to serve a file with: never one that a browser executes."""
    return UNKNOWN if ACTIVE.match(content_type) or not content_type else content_type


def media_type(content_type: str, filename: str) -> str:
    """Return a file's media type: the client's, or, if it sent none, the one of the filename's extension."""
    if MEDIA_TYPE.fullmatch(content_type) and content_type.lower() != UNKNOWN:
        return content_type.lower()
    return mimetypes.guess_type(filename, strict=False)[0] or UNKNOWN
