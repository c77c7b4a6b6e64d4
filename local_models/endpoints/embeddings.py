"""``POST /v1/embeddings``."""

import base64
import struct
from typing import Any

from aiohttp import web

from local_models.embedding_model import DIMENSIONS, Embedder
from local_models.endpoints.base import Endpoint
from local_models.errors import InvalidRequestError
from local_models.fields import Body, absent, integer, json_body
from local_models.responses import json_response

MAX_TEXTS = 2048
#: E5 wants to know which side of a search a text is on. OpenAI's API has no word for it, and for texts that
#: are compared with each other E5's authors recommend the prefix of queries, so that is the default.
SIDES = {"query": True, "passage": False, "document": False}


async def answer(request: web.Request, model: Embedder) -> web.StreamResponse:
    """Return a vector for each text, as floats or in base64.

    Beside OpenAI's fields, ``input_type`` may be ``query`` (the default), ``passage`` or ``document``.
    """
    body = await json_body(request, model)
    texts = _texts(body)
    encoding = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise InvalidRequestError("'encoding_format' has to be 'float' or 'base64'.", param="encoding_format")
    if (integer(body, "dimensions", 1, 2**31) or DIMENSIONS) != DIMENSIONS:
        raise InvalidRequestError(f"This model's vectors have {DIMENSIONS} dimensions.", param="dimensions")
    side = body.get("input_type") or "query"
    if not isinstance(side, str) or side not in SIDES:
        raise InvalidRequestError(f"'input_type' has to be one of: {', '.join(SIDES)}.", param="input_type")

    vectors, tokens = await model.embed(texts, queries=SIDES[side])
    data = [
        {"object": "embedding", "index": index, "embedding": _written(vector, encoding)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_response({"object": "list", "data": data, "model": model.id, "usage": usage})


def _texts(body: Body) -> list[str]:
    value: Any = body.get("input")
    if value is None:
        raise absent("input")
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or len(texts) > MAX_TEXTS:
        raise InvalidRequestError(
            f"'input' has to be a string or a list of 1 to {MAX_TEXTS} strings.", param="input"
        )
    if any(isinstance(text, int | list) for text in texts):
        raise InvalidRequestError(
            "This model takes text, not token ids, which mean something else to each model. Send strings.",
            param="input",
        )
    if not all(isinstance(text, str) and text for text in texts):
        raise InvalidRequestError("'input' has to hold strings that are not empty.", param="input")
    return texts


def _written(vector: bytes, encoding: str) -> str | list[float]:
    if encoding == "base64":
        return base64.b64encode(vector).decode()
    return list(struct.unpack(f"<{DIMENSIONS}f", vector))


ENDPOINT = Endpoint(Embedder, answer)
