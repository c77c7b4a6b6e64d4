"""The routes that call a model, and what each asks of a key and of the model. A new one is one row here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route under the base URL; ``capability`` is what a catalog entry needs for it."""

    name: str
    path: str
    scope: str
    capability: str


_ENDPOINTS = (Endpoint("chat", "/chat/completions", "inference:chat", "chat"),)
ENDPOINTS: dict[str, Endpoint] = {endpoint.name: endpoint for endpoint in _ENDPOINTS}
