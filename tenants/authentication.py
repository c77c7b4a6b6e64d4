"""Authentication of API requests with a key, before any of the body is read."""

import time
from dataclasses import dataclass, field

from gtapi.errors import AuthenticationFailed
from gtapi.web.request import APIRequest
from tenants import keys
from tenants.models import InferenceKey, normalise_host
from tenants.policy_cache import PolicyCache, watch
from tenants.scopes import expand


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """A cached key with the facts of its tenant that requests depend on; ``expires_at`` is in Unix seconds."""

    id: int
    public_id: str
    name: str
    tenant_id: int
    tenant_slug: str
    tenant_active: bool
    hosts: frozenset[str]
    scopes: frozenset[str]
    expires_at: float | None
    revoked: bool
    #: Whether the tenant records explanations of answers.
    record_answers: bool
    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, key: InferenceKey) -> "KeyFacts":
        return cls(
            id=key.pk,
            public_id=key.public_id,
            name=key.name,
            tenant_id=key.tenant_id,
            tenant_slug=key.tenant.slug,
            tenant_active=key.tenant.active,
            hosts=frozenset(key.tenant.hosts),
            scopes=expand(key.scopes),
            expires_at=key.expires_at.timestamp() if key.expires_at else None,
            revoked=key.revoked_at is not None,
            record_answers=key.tenant.record_answers,
            digest=bytes(key.digest),
        )

    def refusal_reason(self) -> str | None:
        """Return why the key is refused at this moment, for the operator; None if it is accepted."""
        if not self.tenant_active:
            return "the tenant is turned off"
        if self.revoked:
            return "the key is revoked"
        if self.expires_at is not None and self.expires_at <= time.time():
            return "the key has expired"
        return None


def load_key(public_id: str) -> tuple[int | None, KeyFacts | None]:
    """Load a key from the database; the loader of ``known_keys``."""
    key = InferenceKey.objects.select_related("tenant").filter(public_id=public_id).first()
    return (key.tenant_id, KeyFacts.of(key)) if key else (None, None)


known_keys: PolicyCache[str, KeyFacts | None] = PolicyCache(watch, load_key)


class KeyAuthentication:
    """Bearer authentication with a key, on a host of its tenant.

    Every failure has the same response, so that clients cannot probe for keys.
    """

    async def authenticate(self, request: APIRequest) -> KeyFacts:
        """Return the key of a request.

        Raises:
            AuthenticationFailed: the key is missing, unknown, expired, revoked or not accepted on this host.
            Unavailable: the key cannot be loaded.
        """
        scheme, _, plain = request.header(b"authorization").partition(" ")
        plain = plain.strip()
        if scheme.lower() != "bearer" or (public_id := keys.public_id(plain)) is None:
            raise AuthenticationFailed
        key = await known_keys.get(public_id)
        if key is None or not keys.matches(plain, key.digest) or key.refusal_reason():
            raise AuthenticationFailed
        if key.hosts and normalise_host(request.host()) not in key.hosts:
            raise AuthenticationFailed
        return key
