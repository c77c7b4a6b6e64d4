"""A file's bytes, in Django's storage under a random name; nothing here touches the database."""

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
#: Types of what a browser would run if it were to show it.
ACTIVE = re.compile(r".*(html|xml|script|svg|flash)", re.IGNORECASE)
#: Formatting characters that turn the direction of writing: ``gpj.exe`` would read ``exe.jpg``.
_TURNING = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class OnDisk(DjangoFile):  # type: ignore[type-arg] # not generic at run time
    """A file that a storage in a folder moves rather than copies."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.open("rb"), name=path.name)
        self._path = path

    def temporary_file_path(self) -> str:
        """Return where it lies; Django moves what has this method."""
        return str(self._path)


def open_file(name: str) -> "DjangoFile[bytes]":
    """Open a stored file for reading.

    Raises:
        FileNotFoundError: there is none of that name.
    """
    return default_storage.open(name, "rb")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal; it is read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def new_name() -> str:
    """Return a name in storage that nobody has and nobody can guess."""
    token = secrets.token_hex(16)
    return f"{FOLDER}/{token[:2]}/{token}"


def put(path: Path, name: str) -> None:
    """Store a file under a new name. Where storage is a folder of the same disk, it is moved."""
    with OnDisk(path) as file:
        stored = default_storage.save(name, file)
    if stored != name:
        raise RuntimeError(f"{name} was there already")


def delete(names: Iterable[str]) -> list[str]:
    """Remove files from storage and return those that are gone; of the others the log says why they stay."""
    gone = []
    for name in names:
        try:
            default_storage.delete(name)
        except Exception:  # each storage has errors of its own
            logger.exception("%s cannot be removed from storage", name)
        else:
            gone.append(name)
    return gone


def clean_filename(given: str) -> str:
    """Return a client's name for a file as it is shown: without folders, of one line, 255 characters at most."""
    name = re.split(r"[/\\]", unicodedata.normalize("NFC", given))[-1]
    name = "".join(
        c for c in name if unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") and c not in _TURNING
    )
    name = name.strip()
    if not name.strip("."):
        return "file"
    stem, dot, ending = name.rpartition(".")
    if len(name) <= MAX_FILENAME or not stem or len(ending) > MAX_ENDING:
        return name[:MAX_FILENAME]
    return f"{stem[: MAX_FILENAME - len(ending) - 1]}{dot}{ending}"


def harmless(content_type: str) -> str:
    """Return the media type under which a file is handed out: nothing that a browser would run."""
    return UNKNOWN if ACTIVE.match(content_type) or not content_type else content_type


def media_type(given: str, filename: str) -> str:
    """Return a file's media type: as the client says, or where it says nothing, by the name's ending."""
    if MEDIA_TYPE.fullmatch(given) and given.lower() != UNKNOWN:
        return given.lower()
    return mimetypes.guess_type(filename, strict=False)[0] or UNKNOWN
