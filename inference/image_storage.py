"""Images that clients fetch by an address: kept in Django's storage for as long as the address is good."""

import time
from secrets import token_hex

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.signing import BadSignature, TimestampSigner

from gtapi.errors import NotFound, StorageUnavailable
from inference.endpoints.image_generations.schema import decode

FOLDER = "images"
_signer = TimestampSigner(salt="inference.images", sep="~")


def keep(b64_json: str) -> str | None:
    """Store an image and return the signed name under which it can be fetched; None where it is no image.

    Raises:
        StorageUnavailable: storage does not take it.
    """
    decoded = decode(b64_json)
    if decoded is None:
        return None
    data, ending = decoded
    name = f"{token_hex(16)}.{ending}"
    try:
        default_storage.save(f"{FOLDER}/{name}", ContentFile(data))
    except Exception as error:  # each storage has errors of its own, and a disk may be full
        raise StorageUnavailable("The image could not be kept. Please try again.", error) from error
    return _signer.sign(name)


def fetch(signed: str) -> tuple[bytes, str]:
    """Return an image and the ending of its name.

    Raises:
        NotFound: the name was not signed here, or its time is over.
        StorageUnavailable: storage does not give it.
    """
    try:
        name = _signer.unsign(signed, max_age=settings.IMAGE_URL_SECONDS)
        with default_storage.open(f"{FOLDER}/{name}", "rb") as file:
            return file.read(), name.rpartition(".")[2]
    except (BadSignature, FileNotFoundError):
        raise NotFound("There is no such image, or its address has expired.") from None
    except Exception as error:
        raise StorageUnavailable("The image cannot be read at the moment.", error) from error


def remove_expired() -> int:
    """Remove the images whose addresses have expired; returns how many there were."""
    oldest = time.time() - settings.IMAGE_URL_SECONDS - 60
    removed = 0
    try:
        names = default_storage.listdir(FOLDER)[1]
    except FileNotFoundError:  # no image has been made yet, and the storage is a folder
        return 0
    for name in names:
        path = f"{FOLDER}/{name}"
        if default_storage.get_modified_time(path).timestamp() < oldest:
            default_storage.delete(path)
            removed += 1
    return removed
