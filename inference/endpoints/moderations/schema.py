"""Schema of moderations: OpenAI's moderations/create."""

from typing import Any

from gtapi.ids import object_id
from gtapi.validation import invalid, missing, wrong_type

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


#: Those that can be found in images, too.
OF_IMAGES = frozenset(
    {"self-harm", "self-harm/instructions", "self-harm/intent", "sexual", "violence", "violence/graphic"}
)


def check_moderations(body: JSON) -> None:
    """Refuse what OpenAI refuses, naming the parameter."""
    given = body.get("input")
    if given is None:
        raise missing("input")
    if not isinstance(given, str | list):
        raise wrong_type("input", "a string or an array", given)
    if not given:
        raise invalid("input", "it must not be empty")
    for index, item in enumerate(given if isinstance(given, list) else ()):
        if not isinstance(item, str | dict):
            raise wrong_type(f"input[{index}]", "a string or an object", item)


def texts(body: JSON) -> list[str]:
    """Return the texts of an input."""
    given = body["input"]
    items = [given] if isinstance(given, str) else given
    found = [item if isinstance(item, str) else item.get("text") for item in items]
    return [text for text in found if isinstance(text, str)]


def results(body: JSON) -> int:
    """Return how many results a request asks for: one for each text, or one for all parts together."""
    given = body["input"]
    return len(given) if isinstance(given, list) and isinstance(given[0], str) else 1


def moderation(answer: JSON, name: str) -> JSON | None:
    """Return the answer. Every category is there, since strict clients ask for each; other ones are left out.

    None where a result does not say what it found: that must not pass for «nothing».
    """
    built = [_result(result) for result in answer["results"]]
    if not all(built):
        return None
    return {"id": object_id("modr-"), "model": name, "results": built}


def _result(given: Any) -> JSON | None:
    if not isinstance(given, dict) or not isinstance(given.get("categories"), dict):
        return None
    found = given["categories"]
    flagged = given.get("flagged")
    scores, inputs = _object(given.get("category_scores")), _object(given.get("category_applied_input_types"))
    return {
        "flagged": flagged if isinstance(flagged, bool) else any(value is True for value in found.values()),
        "categories": {name: found.get(name) is True for name in CATEGORIES},
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
