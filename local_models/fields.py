"""Validates the fields of request bodies."""

from collections.abc import Collection, Mapping
from typing import Any

import orjson
from aiohttp import web

from local_models.errors import InvalidRequestError, UnknownModelError
from local_models.local_model import LocalModel

Body = Mapping[str, Any]
#: Bytes per request, files included.
MAX_BODY = 32 * 2**20


async def json_body(request: web.Request, model: LocalModel) -> Body:
    """Return the body of a request to ``model``.

    Raises:
        InvalidRequestError: it is not a JSON object, or does not name a model.
        UnknownModelError: it names another model.
    """
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError("The body is not valid JSON.", code="invalid_json") from error
    if not isinstance(body, dict):
        raise InvalidRequestError("The body must be a JSON object.", code="invalid_json")
    check_model(body, model)
    return body


def check_model(body: Body, model: LocalModel) -> None:
    """Refuse a request whose model is missing or another one."""
    name = body.get("model")
    if name is None:
        raise missing_parameter("model")
    if name != model.id:
        raise UnknownModelError(str(name))


def missing_parameter(name: str) -> InvalidRequestError:
    """Return the error for a missing required field."""
    message = f"Missing required parameter: '{name}'."
    return InvalidRequestError(message, param=name, code="missing_required_parameter")


def boolean(body: Body, name: str) -> bool:
    """Return a boolean, false by default."""
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidRequestError(f"'{name}' must be a boolean.", param=name)
    return value


def integer(body: Body, name: str, low: int, high: int) -> int | None:
    """Return an integer from ``low`` to ``high``, or None."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidRequestError(f"'{name}' must be an integer from {low} to {high}.", param=name)
    return value


def number(body: Body, name: str, low: float, high: float) -> float | None:
    """Return a number from ``low`` to ``high``, or None."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidRequestError(f"'{name}' must be a number from {low:g} to {high:g}.", param=name)
    return float(value)


def mapping(body: Body, name: str) -> dict[str, Any]:
    """Return an object, empty by default."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequestError(f"'{name}' must be an object.", param=name)
    return value


def strings(body: Body, name: str) -> list[str]:
    """Return a string or a list of strings as a list without empty strings."""
    value = body.get(name)
    if value is None:
        return []
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise InvalidRequestError(f"'{name}' must be a string or a list of strings.", param=name)
    return [item for item in items if item]


def text(body: Body, name: str, max_length: int) -> str:
    """Return a required string that is not empty and has at most ``max_length`` characters."""
    value = body.get(name)
    if value is None:
        raise missing_parameter(name)
    if not isinstance(value, str) or not value.strip():
        raise InvalidRequestError(f"'{name}' must be a non-empty string.", param=name)
    if len(value) > max_length:
        raise InvalidRequestError(
            f"'{name}' must have at most {max_length} characters, and has {len(value)}.",
            param=name,
            code="string_above_max_length",
        )
    return value


def choice(body: Body, name: str, choices: Collection[str], default: str) -> str:
    """Return one of ``choices``."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or value not in choices:
        raise InvalidRequestError(f"'{name}' must be one of: {', '.join(choices)}.", param=name)
    return value
