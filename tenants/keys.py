"""The format of API keys, ``gtak_<12 public id>_<40 secret><6 checksum>``, and its digest.

All parts are base 62. The checksum is the CRC-32 of the preceding characters: typos are refused without a database
query, and secret scanners can recognize keys offline. The database stores the public id and the HMAC-SHA-256 of the
whole key under a pepper, never the key itself.
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
    """A newly generated key, the only time its plain text is available."""

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
    """Return the 32-byte digest that is stored for a key."""
    return hmac.digest(pepper.encode(), plain.encode(), sha256)


def matches(plain: str, stored: bytes) -> bool:
    """Return, in constant time, whether ``stored`` is the key's digest under any of the peppers."""
    equal = False
    for pepper in settings.KEY_PEPPERS:
        equal |= hmac.compare_digest(digest(plain, pepper), stored)
    return equal
