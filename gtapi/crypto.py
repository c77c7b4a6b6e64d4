"""Encrypted model fields, and ids that hide another id.

The keys are the setting ``ENCRYPTION_KEYS`` (Fernet keys, newest first), not ``SECRET_KEY``, so that each can
rotate without the other.
"""

import base64
import binascii
import json
from functools import cache
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models


@cache
def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])


def encrypt(text: str) -> str:
    """Return ``text`` encrypted with the newest key."""
    return _fernet().encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    """Return the text of a token made by any of the keys.

    Raises:
        ImproperlyConfigured: none of ``ENCRYPTION_KEYS`` fits.
    """
    try:
        return _fernet().decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise ImproperlyConfigured(
            "a stored credential was encrypted with none of ENCRYPTION_KEYS"
        ) from error


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]
    """Text that is stored encrypted; empty text is stored empty. It cannot be searched."""

    def get_prep_value(self, value: Any) -> str | None:
        return encrypt(value) if value else value

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        return decrypt(value) if value else value


class EncryptedJSONField(models.TextField):  # type: ignore[type-arg]
    """A JSON object that is stored encrypted; it cannot be searched."""

    def get_prep_value(self, value: Any) -> str:
        return encrypt(json.dumps(value)) if value else ""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return json.loads(decrypt(value)) if value else {}

    def to_python(self, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) and value else value or {}


@cache
def _siv() -> list[AESSIV]:
    return [AESSIV(sha256(b"ids:" + key.encode()).digest()) for key in settings.ENCRYPTION_KEYS]


def seal(prefix: str, text: str, context: str) -> str:
    """Return an id that hides ``text``, the same one each time, which only ``unseal`` with that context opens."""
    box = _siv()[0].encrypt(text.encode(), [context.encode()])
    return prefix + base64.urlsafe_b64encode(box).decode().rstrip("=")


def unseal(prefix: str, sealed: str, context: str) -> str | None:
    """Return what ``seal`` hid, or None where the id is none of ours."""
    if not sealed.startswith(prefix):
        return None
    body = sealed[len(prefix) :]
    try:
        box = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except (binascii.Error, ValueError):
        return None
    for siv in _siv():
        try:
            return siv.decrypt(box, [context.encode()]).decode()
        except (InvalidTag, ValueError):
            continue
    return None
