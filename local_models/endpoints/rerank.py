"""``POST /v1/rerank``, with the request and response fields of Cohere and Jina."""

import os
from typing import Any

from aiohttp import web

from local_models.endpoints.base import ModelEndpoint
from local_models.errors import InvalidRequestError
from local_models.fields import Body, boolean, integer, json_body, missing_parameter, text
from local_models.rerank_model import RerankModel
from local_models.responses import json_response

MAX_QUERY = 32_000
MAX_DOCUMENTS = 1024


async def rerank(request: web.Request, model: RerankModel) -> web.StreamResponse:
    """Return the documents most relevant to the query first, at most ``top_n`` of them."""
    body = await json_body(request, model)
    query = text(body, "query", MAX_QUERY)
    documents = _documents(body)
    top_n = integer(body, "top_n", 1, 2**31) or len(documents)
    return_documents = boolean(body, "return_documents")

    scores, tokens = await model.score(query, documents)
    ranking = sorted(range(len(documents)), key=lambda index: -scores[index])[:top_n]
    results: list[dict[str, Any]] = [
        {
            "index": index,
            "relevance_score": scores[index],
            **({"document": {"text": documents[index]}} if return_documents else {}),
        }
        for index in ranking
    ]
    return json_response(
        {
            "id": f"rerank-{os.urandom(12).hex()}",
            "model": model.id,
            "results": results,
            "usage": {"total_tokens": tokens},
        }
    )


ENDPOINT = ModelEndpoint(RerankModel, rerank)


def _documents(body: Body) -> list[str]:
    documents = body.get("documents")
    if documents is None:
        raise missing_parameter("documents")
    if not isinstance(documents, list) or not 1 <= len(documents) <= MAX_DOCUMENTS:
        raise InvalidRequestError(
            f"'documents' must be a list of 1 to {MAX_DOCUMENTS} documents.", param="documents"
        )
    return [_document(document, f"documents[{index}]") for index, document in enumerate(documents)]


def _document(document: Any, param: str) -> str:
    content = document.get("text") if isinstance(document, dict) else document
    if not isinstance(content, str) or not content:
        raise InvalidRequestError(
            "A document must be a string, or an object with a 'text', that is not empty.", param=param
        )
    return content
