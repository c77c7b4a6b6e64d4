"""Storage of generated images that clients fetch by URL, for as long as the URL is valid."""

import re
import time
from base64 import b64decode
from secrets import token_hex

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.signing import BadSignature, TimestampSigner

from gtapi.errors import NotFound, StorageUnavailable

FOLDER = "images"
_signer = TimestampSigner(salt="inference.images", sep="~")
#: By file extension: the media type, and how such an image begins.
_FORMATS = {
    "png": ("image/png", rb"\x89PNG\r\n\x1a\n"),
    "jpg": ("image/jpeg", rb"\xff\xd8\xff"),
    "webp": ("image/webp", rb"RIFF....WEBP"),
    "gif": ("image/gif", rb"GIF8[79]a"),
    "svg": ("image/svg+xml", rb"\s*<(\?xml|!DOCTYPE|!--|svg)"),
}
_SIGNATURES = {extension: re.compile(begins, re.DOTALL) for extension, (_, begins) in _FORMATS.items()}


def store(b64_json: str) -> str | None:
    """Store an image and return the signed name under which it can be fetched; None where it is not an image.

    Raises:
        StorageUnavailable: the storage fails.
    """
    decoded = decode(b64_json)
    if decoded is None:
        return None
    data, extension = decoded
    name = f"{token_hex(16)}.{extension}"
    try:
        default_storage.save(f"{FOLDER}/{name}", ContentFile(data))
    except Exception as error:  # each storage raises different errors, and a disk may be full
        raise StorageUnavailable("The image could not be stored. Please try again.", error) from error
    return _signer.sign(name)


def fetch(signed: str) -> tuple[bytes, str]:
    """Return an image and its file extension.

    Raises:
        NotFound: the name was not signed here, or has expired.
        StorageUnavailable: the storage fails.
    """
    try:
        name = _signer.unsign(signed, max_age=settings.IMAGE_URL_SECONDS)
        with default_storage.open(f"{FOLDER}/{name}", "rb") as file:
            return file.read(), name.rpartition(".")[2]
    except (BadSignature, FileNotFoundError):
        raise NotFound("There is no such image, or its URL has expired.") from None
    except Exception as error:
        raise StorageUnavailable(
            "The image cannot be read at the moment. Please try again.", error
        ) from error


def remove_expired() -> int:
    """Delete the images whose URLs have expired; returns how many there were."""
    oldest = time.time() - settings.IMAGE_URL_SECONDS - 60
    removed = 0
    try:
        names = default_storage.listdir(FOLDER)[1]
    except FileNotFoundError:  # no image has been stored yet, and the storage is a folder
        return 0
    for name in names:
        path = f"{FOLDER}/{name}"
        if default_storage.get_modified_time(path).timestamp() < oldest:
            default_storage.delete(path)
            removed += 1
    return removed


def decode(b64_json: str) -> tuple[bytes, str] | None:
    """Return the bytes of an image and its file extension; None where the text is not an image."""
    try:
        data = b64decode(b64_json, validate=True)
    except ValueError:
        return None
    return next(((data, extension) for extension, begins in _SIGNATURES.items() if begins.match(data)), None)


def media_type(extension: str) -> str:
    """Return the media type for a file extension."""
    return _FORMATS[extension][0]
