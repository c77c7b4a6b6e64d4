"""The server's routes: a new endpoint is one module and one line here."""

from typing import Any

from local_models.endpoints import (
    chat,
    completions,
    embeddings,
    images,
    moderations,
    rerank,
    speech,
    transcriptions,
)
from local_models.endpoints.base import ModelEndpoint

ENDPOINTS: dict[str, ModelEndpoint[Any]] = {
    "/v1/chat/completions": chat.ENDPOINT,
    "/v1/completions": completions.ENDPOINT,
    "/v1/embeddings": embeddings.ENDPOINT,
    "/v1/audio/transcriptions": transcriptions.TRANSCRIPTIONS,
    "/v1/audio/translations": transcriptions.TRANSLATIONS,
    "/v1/audio/speech": speech.ENDPOINT,
    "/v1/images/generations": images.GENERATIONS,
    "/v1/images/edits": images.EDITS,
    "/v1/images/variations": images.VARIATIONS,
    "/v1/moderations": moderations.ENDPOINT,
    "/v1/rerank": rerank.ENDPOINT,
}
