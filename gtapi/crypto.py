"""Encryption: model fields that are stored encrypted, and opaque ids that hide another id.

The keys are the setting ``ENCRYPTION_KEYS`` (Fernet keys, newest first). They are independent of ``SECRET_KEY``, so
that each can be rotated alone.
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
    """Return the text of a token that was encrypted with any of the keys.

    Raises:
        ImproperlyConfigured: the token was encrypted with another key.
    """
    try:
        return _fernet().decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise ImproperlyConfigured(
            "A stored credential was encrypted with a key that is not in ENCRYPTION_KEYS."
        ) from error


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]
    """A text field that is stored encrypted and cannot be searched. An empty string is stored as it is."""

    def get_prep_value(self, value: Any) -> str | None:
        return encrypt(value) if value else value

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        return decrypt(value) if value else value


class EncryptedJSONField(models.TextField):  # type: ignore[type-arg]
    """A JSON object that is stored encrypted and cannot be searched."""

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
    """Return an opaque id for ``text``: deterministic, and readable by ``unseal`` with the same context."""
    ciphertext = _siv()[0].encrypt(text.encode(), [context.encode()])
    return prefix + base64.urlsafe_b64encode(ciphertext).decode().rstrip("=")


def unseal(prefix: str, sealed: str, context: str) -> str | None:
    """Return the text of an id made by ``seal``, or None if the id is not valid."""
    if not sealed.startswith(prefix):
        return None
    body = sealed[len(prefix) :]
    try:
        ciphertext = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except (binascii.Error, ValueError):
        return None
    for siv in _siv():
        try:
            return siv.decrypt(ciphertext, [context.encode()]).decode()
        except (InvalidTag, ValueError):
            continue
    return None
