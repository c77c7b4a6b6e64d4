"""``POST /v1/moderations``."""

import os
from typing import Any

from aiohttp import web

from local_models.endpoints.base import ModelEndpoint
from local_models.errors import InvalidRequestError
from local_models.fields import Body, json_body, missing_parameter
from local_models.moderation.model import ModerationModel, ModerationScores
from local_models.responses import json_response

MAX_TEXTS = 256


async def moderate(request: web.Request, model: ModerationModel) -> web.StreamResponse:
    """Score texts: a result per string, or one for all content parts together."""
    body = await json_body(request, model)
    scores = [await model.score(text) for text in _texts(body)]
    return json_response(
        {
            "id": f"modr-{os.urandom(12).hex()}",
            "model": model.id,
            "results": [_result(score) for score in scores],
        }
    )


ENDPOINT = ModelEndpoint(ModerationModel, moderate)


def _result(moderation: ModerationScores) -> dict[str, Any]:
    return {
        "flagged": moderation.flagged,
        "categories": moderation.categories,
        "category_scores": dict(moderation.scores),
        "category_applied_input_types": {name: ["text"] for name in moderation.scores},
    }


def _texts(body: Body) -> list[str]:
    value: Any = body.get("input")
    if value is None:
        raise missing_parameter("input")
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_TEXTS:
        raise InvalidRequestError(
            f"'input' must be a string, or a list of 1 to {MAX_TEXTS} strings or parts.", param="input"
        )
    if all(isinstance(item, str) for item in items):
        return items
    return ["\n".join(_part(item, f"input[{index}]") for index, item in enumerate(items))]


def _part(part: Any, where: str) -> str:
    if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
        raise InvalidRequestError(
            "This model reads text only: every part must be of type 'text'.", param=where
        )
    text: str = part["text"]
    return text
