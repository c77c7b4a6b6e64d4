"""Schema of moderations: OpenAI's moderations/create."""

from typing import Any

from gtapi.ids import object_id
from gtapi.json_types import JSON
from gtapi.validation import invalid, missing, wrong_type

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


#: Categories that also apply to images.
OF_IMAGES = frozenset(
    {"self-harm", "self-harm/instructions", "self-harm/intent", "sexual", "violence", "violence/graphic"}
)


def check_moderations(body: JSON) -> None:
    """Refuse what OpenAI refuses, naming the parameter."""
    value = body.get("input")
    if value is None:
        raise missing("input")
    if not isinstance(value, str | list):
        raise wrong_type("input", "a string or an array", value)
    if not value:
        raise invalid("input", "it must not be empty")
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if not isinstance(item, str | dict):
            raise wrong_type(f"input[{index}]", "a string or an object", item)


def texts(body: JSON) -> list[str]:
    """Return the texts of an input."""
    value = body["input"]
    items = [value] if isinstance(value, str) else value
    values = [item if isinstance(item, str) else item.get("text") for item in items]
    return [text for text in values if isinstance(text, str)]


def results(body: JSON) -> int:
    """Return how many results a request asks for: one for each text, or one for all parts together."""
    value = body["input"]
    return len(value) if isinstance(value, list) and isinstance(value[0], str) else 1


def moderation(response: JSON, name: str) -> JSON | None:
    """Return the response with exactly the known categories, since strict clients require each of them.

    None if a result has no categories: that must not look like an unflagged input.
    """
    built = [_result(result) for result in response["results"]]
    if not all(built):
        return None
    return {"id": object_id("modr-"), "model": name, "results": built}


def _result(result: Any) -> JSON | None:
    if not isinstance(result, dict) or not isinstance(result.get("categories"), dict):
        return None
    categories = result["categories"]
    flagged = result.get("flagged")
    scores, inputs = (
        _object(result.get("category_scores")),
        _object(result.get("category_applied_input_types")),
    )
    return {
        "flagged": flagged
        if isinstance(flagged, bool)
        else any(value is True for value in categories.values()),
        "categories": {name: categories.get(name) is True for name in CATEGORIES},
        "category_scores": {name: _score(scores.get(name)) for name in CATEGORIES},
        "category_applied_input_types": {name: _kinds(name, inputs.get(name)) for name in CATEGORIES},
    }


def _object(value: Any) -> JSON:
    return value if isinstance(value, dict) else {}


def _score(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _kinds(category: str, value: Any) -> list[str]:
    possible = ("text", "image") if category in OF_IMAGES else ("text",)
    return [kind for kind in possible if kind in value] if isinstance(value, list) else []
