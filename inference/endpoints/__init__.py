"""The routes that call a model, and what each asks of a key and of the model. A new one is one row here."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route under the base URL; ``capability`` is what a catalog entry needs for it."""

    name: str
    path: str
    scope: str
    capability: str


_ENDPOINTS = (
    Endpoint("chat", "/chat/completions", "inference:chat", "chat"),
    Endpoint("completions", "/completions", "inference:chat", "chat"),
    Endpoint("embeddings", "/embeddings", "inference:embed", "embed"),
    Endpoint("transcriptions", "/audio/transcriptions", "inference:transcribe", "transcribe"),
    Endpoint("translations", "/audio/translations", "inference:transcribe", "transcribe"),
    Endpoint("speech", "/audio/speech", "inference:speech", "speech"),
    Endpoint("image_generations", "/images/generations", "inference:image", "image"),
    Endpoint("image_edits", "/images/edits", "inference:image", "image"),
    Endpoint("image_variations", "/images/variations", "inference:image", "image"),
    Endpoint("moderations", "/moderations", "inference:moderate", "moderate"),
)
ENDPOINTS: dict[str, Endpoint] = {endpoint.name: endpoint for endpoint in _ENDPOINTS}


def served_capabilities(operations: Collection[str]) -> frozenset[str]:
    """Return the capabilities of which at least one endpoint is among ``operations``."""
    return frozenset(endpoint.capability for endpoint in _ENDPOINTS if endpoint.name in operations)
