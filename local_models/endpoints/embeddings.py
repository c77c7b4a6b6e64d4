"""``POST /v1/embeddings``."""

import base64
import struct
from typing import Any

from aiohttp import web

from local_models.embedding_model import DIMENSIONS, EmbeddingModel
from local_models.endpoints.base import ModelEndpoint
from local_models.errors import InvalidRequestError
from local_models.fields import Body, integer, json_body, missing_parameter
from local_models.responses import json_response

MAX_TEXTS = 2048
#: E5 distinguishes queries from passages, OpenAI's API does not. For texts that are compared with each other E5's
#: authors recommend the prefix of queries, so that is the default.
INPUT_TYPES = {"query": True, "passage": False, "document": False}


async def embed(request: web.Request, model: EmbeddingModel) -> web.StreamResponse:
    """Return a vector for each text, as floats or in base64.

    In addition to OpenAI's fields, ``input_type`` may be ``query`` (the default), ``passage`` or ``document``.
    """
    body = await json_body(request, model)
    texts = _texts(body)
    encoding = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise InvalidRequestError("'encoding_format' must be 'float' or 'base64'.", param="encoding_format")
    if (integer(body, "dimensions", 1, 2**31) or DIMENSIONS) != DIMENSIONS:
        raise InvalidRequestError(f"This model's vectors have {DIMENSIONS} dimensions.", param="dimensions")
    input_type = body.get("input_type") or "query"
    if not isinstance(input_type, str) or input_type not in INPUT_TYPES:
        raise InvalidRequestError(
            f"'input_type' must be one of: {', '.join(INPUT_TYPES)}.", param="input_type"
        )

    vectors, tokens = await model.embed(texts, queries=INPUT_TYPES[input_type])
    data = [
        {"object": "embedding", "index": index, "embedding": _encode(vector, encoding)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_response({"object": "list", "data": data, "model": model.id, "usage": usage})


def _texts(body: Body) -> list[str]:
    value: Any = body.get("input")
    if value is None:
        raise missing_parameter("input")
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or len(texts) > MAX_TEXTS:
        raise InvalidRequestError(
            f"'input' must be a string or a list of 1 to {MAX_TEXTS} strings.", param="input"
        )
    if any(isinstance(text, int | list) for text in texts):
        raise InvalidRequestError(
            "This model does not accept token ids. Send strings.",
            param="input",
        )
    if not all(isinstance(text, str) and text for text in texts):
        raise InvalidRequestError("'input' must contain non-empty strings.", param="input")
    return texts


def _encode(vector: bytes, encoding: str) -> str | list[float]:
    if encoding == "base64":
        return base64.b64encode(vector).decode()
    return list(struct.unpack(f"<{DIMENSIONS}f", vector))


ENDPOINT = ModelEndpoint(EmbeddingModel, embed)
