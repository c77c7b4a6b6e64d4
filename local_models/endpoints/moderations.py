"""``POST /v1/moderations``."""

import os
from typing import Any

from aiohttp import web

from local_models.endpoints.base import Endpoint
from local_models.errors import InvalidRequestError
from local_models.fields import Body, absent, json_body
from local_models.moderation.model import Moderator, Verdict
from local_models.responses import json_response

MAX_TEXTS = 256


async def answer(request: web.Request, model: Moderator) -> web.StreamResponse:
    """Judge texts: a result for each string, or one for all parts together."""
    body = await json_body(request, model)
    verdicts = [await model.judge(text) for text in _texts(body)]
    return json_response(
        {
            "id": f"modr-{os.urandom(12).hex()}",
            "model": model.id,
            "results": [_result(verdict) for verdict in verdicts],
        }
    )


ENDPOINT = Endpoint(Moderator, answer)


def _result(verdict: Verdict) -> dict[str, Any]:
    return {
        "flagged": verdict.flagged,
        "categories": verdict.categories,
        "category_scores": dict(verdict.scores),
        "category_applied_input_types": {name: ["text"] for name in verdict.scores},
    }


def _texts(body: Body) -> list[str]:
    value: Any = body.get("input")
    if value is None:
        raise absent("input")
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_TEXTS:
        raise InvalidRequestError(
            f"'input' has to be a string, or a list of 1 to {MAX_TEXTS} strings or parts.", param="input"
        )
    if all(isinstance(item, str) for item in items):
        return items
    return ["\n".join(_part(item, f"input[{index}]") for index, item in enumerate(items))]


def _part(part: Any, where: str) -> str:
    if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
        raise InvalidRequestError(
            "This model reads text only: every part has to be of type 'text'.", param=where
        )
    text: str = part["text"]
    return text
