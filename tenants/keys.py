"""The format of a key, ``gtak_<12 public id>_<40 secret><6 checksum>``, and its digest.

All parts are base 62. The checksum is the CRC-32 of what stands before it: a typo is refused without a look-up,
and a secret scanner can tell a key from a look-alike offline. What is stored is the public id and the
HMAC-SHA-256 of the whole key under a pepper; the key itself is never stored.
"""

import hmac
import re
from dataclasses import dataclass, field
from hashlib import sha256
from zlib import crc32

from django.conf import settings

from gtapi.ids import encode_base62, random_base62

PREFIX = "gtak_"
_FORMAT = re.compile(r"gtak_([0-9A-Za-z]{12})_[0-9A-Za-z]{40}([0-9A-Za-z]{6})", re.ASCII)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key at the one moment when it can be shown."""

    public_id: str
    plain: str = field(repr=False)

    @property
    def digest(self) -> bytes:
        return digest(self.plain, settings.KEY_PEPPERS[0])


def generate() -> NewKey:
    """Return a new random key."""
    public_id = random_base62(12)
    body = f"{PREFIX}{public_id}_{random_base62(40)}"
    return NewKey(public_id, body + checksum(body))


def checksum(body: str) -> str:
    """Return the six characters that follow ``body`` in a key."""
    return encode_base62(crc32(body.encode()), 6)


def public_id(plain: str) -> str | None:
    """Return the public id of a well-formed key, or None for anything else."""
    match = _FORMAT.fullmatch(plain)
    if match is None or checksum(plain[:-6]) != match[2]:
        return None
    return match[1]


def digest(plain: str, pepper: str) -> bytes:
    """Return the 32 bytes that are stored of a key."""
    return hmac.digest(pepper.encode(), plain.encode(), sha256)


def matches(plain: str, stored: bytes) -> bool:
    """Tell, in constant time, whether ``stored`` is the digest of this key under any of the peppers."""
    found = False
    for pepper in settings.KEY_PEPPERS:
        found |= hmac.compare_digest(digest(plain, pepper), stored)
    return found
