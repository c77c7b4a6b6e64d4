"""What the server offers: a new endpoint is one module and one line here."""

from typing import Any

from inference.local_models.endpoints import chat, completions, embeddings
from inference.local_models.endpoints.base import Endpoint

ENDPOINTS: dict[str, Endpoint[Any]] = {
    "/v1/chat/completions": chat.ENDPOINT,
    "/v1/completions": completions.ENDPOINT,
    "/v1/embeddings": embeddings.ENDPOINT,
}
