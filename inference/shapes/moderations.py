"""The shapes of ``POST /moderations`` (moderations/create)."""

from typing import Any

from gtapi.ids import object_id
from inference.shapes.checks import invalid, missing, wrong_type

JSON = dict[str, Any]

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


def check_moderations(body: JSON) -> None:
    """Refuse what OpenAI refuses, naming the parameter."""
    given = body.get("input")
    if given is None:
        raise missing("input")
    if not isinstance(given, str | list):
        raise wrong_type("input", "a string or an array", given)
    if not given:
        raise invalid("input", "it is empty")
    for index, item in enumerate(given if isinstance(given, list) else ()):
        if not isinstance(item, str | dict):
            raise wrong_type(f"input[{index}]", "a string or an object", item)


def moderation(answer: JSON, name: str) -> JSON:
    """Return the answer. Every category is there, since strict clients ask for each; other ones are left out."""
    return {
        "id": object_id("modr-"),
        "model": name,
        "results": [_result(result) for result in answer["results"] if isinstance(result, dict)],
    }


def _result(given: JSON) -> JSON:
    categories = _object(given.get("categories"))
    scores = _object(given.get("category_scores"))
    inputs = _object(given.get("category_applied_input_types"))
    return {
        "flagged": bool(given.get("flagged")),
        "categories": {name: bool(categories.get(name)) for name in CATEGORIES},
        "category_scores": {name: _score(scores.get(name)) for name in CATEGORIES},
        "category_applied_input_types": {name: _kinds(inputs.get(name)) for name in CATEGORIES},
    }


def _object(value: Any) -> JSON:
    return value if isinstance(value, dict) else {}


def _score(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _kinds(value: Any) -> list[str]:
    return [kind for kind in ("text", "image") if kind in value] if isinstance(value, list) else []
