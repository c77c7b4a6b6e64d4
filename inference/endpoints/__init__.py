"""Registry of the endpoints that call a model. A new one is a folder here and one row in ``_ENDPOINTS``.

The URLs, the OpenAPI description and its pages, ``GET /models`` and the access report of a key follow from the row
and the folder: ``<name>/view.py`` holds the view, ``<name>/<name>.yaml`` describes the route.
"""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route under the base URL: the scope that a key needs, and the capability that the model needs.

    ``name`` is the name of the folder and of the adapters' operation, ``view`` the class in its ``view.py``.
    """

    name: str
    path: str
    scope: str
    capability: str
    view: str

    @property
    def view_path(self) -> str:
        """The dotted path of the view."""
        return f"{__name__}.{self.name}.view.{self.view}"


_ENDPOINTS = (
    Endpoint("chat", "/chat/completions", "inference:chat", "chat", "ChatCompletionsView"),
    Endpoint("completions", "/completions", "inference:chat", "chat", "CompletionsView"),
    Endpoint("embeddings", "/embeddings", "inference:embed", "embed", "EmbeddingsView"),
    Endpoint(
        "transcriptions", "/audio/transcriptions", "inference:transcribe", "transcribe", "TranscriptionsView"
    ),
    Endpoint("translations", "/audio/translations", "inference:transcribe", "transcribe", "TranslationsView"),
    Endpoint("speech", "/audio/speech", "inference:speech", "speech", "SpeechView"),
    Endpoint("image_generations", "/images/generations", "inference:image", "image", "ImageGenerationsView"),
    Endpoint("image_edits", "/images/edits", "inference:image", "image", "ImageEditsView"),
    Endpoint("image_variations", "/images/variations", "inference:image", "image", "ImageVariationsView"),
    Endpoint("moderations", "/moderations", "inference:moderate", "moderate", "ModerationsView"),
    Endpoint("rerank", "/rerank", "inference:rerank", "rerank", "RerankView"),
)
ENDPOINTS: dict[str, Endpoint] = {endpoint.name: endpoint for endpoint in _ENDPOINTS}


def served_capabilities(operations: Collection[str]) -> frozenset[str]:
    """Return the capabilities of which at least one endpoint is among ``operations``."""
    return frozenset(endpoint.capability for endpoint in _ENDPOINTS if endpoint.name in operations)
