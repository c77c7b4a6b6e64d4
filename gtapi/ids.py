"""Random ids and secrets: base62 strings, prefixed object ids, UUIDv7."""

import os
import secrets
import time
import uuid

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def random_base62(length: int) -> str:
    """Return ``length`` cryptographically random characters (5.95 bits each)."""
    return "".join(secrets.choice(BASE62) for _ in range(length))


def encode_base62(number: int, length: int) -> str:
    """Return ``number`` in base 62, padded with zeros to ``length`` characters."""
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(BASE62[digit])
    return "".join(reversed(digits))


def object_id(prefix: str) -> str:
    """Return a new public id such as ``chatcmpl-9f…``: the prefix and 128 random bits in hexadecimal."""
    return prefix + os.urandom(16).hex()


def uuid7() -> uuid.UUID:
    """Return a new UUID of version 7: 48 bits of Unix milliseconds, then 74 random bits (RFC 9562, 5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    return uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def uuid7_floor(seconds: float) -> uuid.UUID:
    """Return the smallest UUIDv7 of a time in Unix seconds, for use as a range boundary."""
    return uuid.UUID(int=int(seconds * 1000) << 80)
