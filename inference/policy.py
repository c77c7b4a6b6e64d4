"""Access policy: which models a key may call. Endpoints, ``GET /models`` and the admin all use ``decide``."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from gtapi.errors import BadRequest, ModelNotFound
from inference.endpoints import ENDPOINTS, Endpoint
from inference.routing import Target, known_grants, known_targets, load_grants, load_targets
from tenants.authentication import KeyFacts
from tenants.models import InferenceKey


class Refusal(Enum):
    """The part of the policy that refuses a call."""

    KEY = "key"
    SCOPE = "scope"
    UNAVAILABLE = "unavailable"
    GRANT = "grant"
    CAPABILITY = "capability"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a call is allowed; if not, which part of the policy refuses it and why, for operators."""

    refusal: Refusal | None = None
    reason: str = ""

    @property
    def allowed(self) -> bool:
        return self.refusal is None


ALLOWED = Verdict()


def decide(key: KeyFacts, grants: Collection[int], target: Target, endpoint: Endpoint) -> Verdict:
    """Decide whether ``key``, with ``grants`` (ids of targets), may call ``target`` on ``endpoint``."""
    if refused := key.refusal_reason():
        return Verdict(Refusal.KEY, refused)
    if endpoint.scope not in key.scopes:
        return Verdict(Refusal.SCOPE, f"the key lacks the scope {endpoint.scope}")
    if target.unavailable:
        return Verdict(Refusal.UNAVAILABLE, target.unavailable)
    if target.id not in grants:
        return Verdict(Refusal.GRANT, "the name is not on the key's allowlist")
    if endpoint.capability not in target.capabilities:
        return Verdict(Refusal.CAPABILITY, f"it cannot {endpoint.capability}")
    if endpoint.name not in target.operations:
        return Verdict(Refusal.CAPABILITY, f"its kind of provider does not support {endpoint.path}")
    return ALLOWED


async def route(key: KeyFacts, name: str, endpoint: Endpoint) -> Target:
    """Return the target that ``name`` stands for on ``endpoint``.

    Raises:
        ModelNotFound: the name does not exist, is not published, or is not granted: one and the same response.
        BadRequest: the model cannot serve this route.
    """
    target = (await known_targets.get(key.tenant_id)).get(name)
    if target is None:
        raise ModelNotFound(name)
    verdict = decide(key, await known_grants.get(key.id), target, endpoint)
    if verdict.refusal is Refusal.CAPABILITY:
        served = [known.path for known in ENDPOINTS.values() if target.serves(known)]
        raise BadRequest(
            f"The model '{name}' does not support {endpoint.path}."
            + (f" It supports {', '.join(served)}." if served else ""),
            param="model",
            code="unsupported_model",
        )
    if not verdict.allowed:
        raise ModelNotFound(name)
    return target


async def default_model(key: KeyFacts, endpoint: Endpoint) -> str | None:
    """Return the only name that the key may call on ``endpoint``; None where there is not exactly one."""
    names = [target.name for target, endpoints in await callable_targets(key) if endpoint in endpoints]
    return names[0] if len(names) == 1 else None


async def callable_targets(key: KeyFacts) -> list[tuple[Target, list[Endpoint]]]:
    """Return every target that the key may call on some endpoint, by name, with those endpoints."""
    grants = await known_grants.get(key.id)
    targets = []
    for target in (await known_targets.get(key.tenant_id)).values():
        endpoints = [e for e in ENDPOINTS.values() if decide(key, grants, target, e).allowed]
        if endpoints:
            targets.append((target, endpoints))
    return targets


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One target in a key's access report: the verdict for each endpoint, in the order of ``ENDPOINTS``."""

    target: Target
    verdicts: list[tuple[Endpoint, Verdict]]


def report(key: InferenceKey) -> list[ReportRow]:
    """Return, from the database, which of its tenant's targets a key can see and call, and why not the others."""
    facts = KeyFacts.of(key)
    _, grants = load_grants(key.pk)
    _, targets = load_targets(key.tenant_id)
    return [
        ReportRow(target, [(e, decide(facts, grants, target, e)) for e in ENDPOINTS.values()])
        for target in targets.values()
    ]
