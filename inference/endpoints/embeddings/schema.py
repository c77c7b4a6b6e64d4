"""Schema of embeddings: OpenAI's embeddings/create."""

from array import array
from base64 import b64decode, b64encode
from math import isfinite
from typing import Any

from gtapi.json_types import JSON
from gtapi.validation import Validator, integer, invalid, missing, of_type, one_of, validate, wrong_type
from inference.schemas import chat_response as part

MAX_INPUTS = 2048


def _input(name: str, value: Any) -> None:
    """Check for a text, token ids, or several of either."""
    if isinstance(value, str):
        if not value:
            raise invalid(name, "it must not be empty")
        return
    if not isinstance(value, list):
        raise wrong_type(name, "a string or an array", value)
    if not value:
        raise invalid(name, "it must not be empty")
    if all(isinstance(item, int) and not isinstance(item, bool) for item in value):
        return
    if len(value) > MAX_INPUTS:
        raise invalid(name, f"expected at most {MAX_INPUTS} inputs, but got {len(value)}")
    for index, item in enumerate(value):
        _one(f"{name}[{index}]", item)


def _one(where: str, item: Any) -> None:
    """Check for one text, or the token ids of one."""
    if not isinstance(item, str | list):
        raise wrong_type(where, "a string or an array of token ids", item)
    if not item:
        raise invalid(where, "it must not be empty")
    for at, token in enumerate(item if isinstance(item, list) else ()):
        integer(0)(f"{where}[{at}]", token)


_CHECKS: dict[str, Validator] = {
    "dimensions": integer(1),
    "encoding_format": one_of(("float", "base64")),
    "user": of_type(str),
}


def check_embeddings(body: JSON) -> None:
    """Refuse what OpenAI refuses, naming the parameter."""
    if body.get("input") is None:
        raise missing("input")
    _input("input", body["input"])
    validate(_CHECKS, body)


def inputs(body: JSON) -> int:
    """Return how many embeddings a request asks for."""
    value = body["input"]
    return len(value) if isinstance(value, list) and not isinstance(value[0], int) else 1


def embeddings(response: JSON, name: str, *, base64: bool) -> JSON | None:
    """Return the response, with each embedding in the encoding that the client requested.

    None if one of them is not a vector: leaving it out would assign the others to the wrong inputs.
    """
    items = [item if isinstance(item, dict) else {} for item in response["data"]]
    indexes = [item.get("index") for item in items]
    if sorted(index for index in indexes if type(index) is int) == list(range(len(items))):
        items.sort(key=lambda item: int(item["index"]))
    data = []
    for index, item in enumerate(items):
        vector = _vector(item.get("embedding"), base64=base64)
        if not vector:
            return None
        data.append({"object": "embedding", "index": index, "embedding": vector})
    built: JSON = {"object": "list", "data": data, "model": name}
    if (usage := part.usage(response.get("usage"))) is not None:
        built["usage"] = {name: usage[name] for name in ("prompt_tokens", "total_tokens")}
    return built


def _vector(embedding: Any, *, base64: bool) -> str | list[float] | None:
    """Return a vector as base64 of little-endian 32-bit floats, or as a list; None if it is neither."""
    if isinstance(embedding, list):
        if not embedding or not _are_numbers(embedding):
            return None
        if not base64:
            return embedding
    try:
        floats = array("f", b64decode(embedding, validate=True) if isinstance(embedding, str) else embedding)
    except (TypeError, ValueError, OverflowError):
        return None
    if not floats or not _are_finite(floats):
        return None
    if base64:
        return embedding if isinstance(embedding, str) else b64encode(floats.tobytes()).decode()
    return floats.tolist()


def _are_numbers(embedding: list[Any]) -> bool:
    # One number that is infinite, or none at all, makes the sum so.
    return set(map(type, embedding)) <= {float, int} and isfinite(sum(embedding))


def _are_finite(floats: "array[float]") -> bool:
    # The byte with most of the exponent tells at once of every number that is not a huge one.
    highest = floats.tobytes()[3::4]
    return (0x7F not in highest and 0xFF not in highest) or all(map(isfinite, floats))
