"""Validators for request parameters, with OpenAI's error messages.

A validator takes a parameter's name and value and raises ``BadRequest``. Other parameters are not checked.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from gtapi.errors import BadRequest

Validator = Callable[[str, Any], None]

#: Limits of metadata: pairs, characters of a key, characters of a value.
MAX_PAIRS = 16
MAX_PAIR_NAME = 64
MAX_PAIR_VALUE = 512

_NAMES = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def wrong_type(name: str, expected: str, value: Any) -> BadRequest:
    """Return the error for a value of the wrong type."""
    got = "null" if value is None else _NAMES.get(type(value), "an unsupported type")
    return BadRequest(
        f"Invalid type for '{name}': expected {expected}, but got {got} instead.",
        param=name,
        code="invalid_type",
    )


def missing(name: str) -> BadRequest:
    """Return the error for a missing required parameter."""
    return BadRequest(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")


def invalid(name: str, problem: str) -> BadRequest:
    """Return the error for an invalid value. ``problem`` completes "Invalid value for 'name': …"."""
    return BadRequest(f"Invalid value for '{name}': {problem}.", param=name)


def of_type(*types: type) -> Validator:
    """Return a validator for types. A boolean does not count as an integer."""
    expected = " or ".join(_NAMES[kind] for kind in types)

    def check(name: str, value: Any) -> None:
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise wrong_type(name, expected, value)

    return check


def number(least: float, most: float) -> Validator:
    """Return a validator for a number in a range."""

    def check(name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong_type(name, "a number", value)
        if not least <= value <= most:
            raise invalid(name, f"expected a number between {least:g} and {most:g}, but got {value:g}")

    return check


def integer(least: int | None = None, most: int | None = None) -> Validator:
    """Return a validator for an integer, optionally in a range."""

    def check(name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(name, "an integer", value)
        if least is not None and value < least:
            raise invalid(name, f"expected at least {least}, but got {value}")
        if most is not None and value > most:
            raise invalid(name, f"expected at most {most}, but got {value}")

    return check


def one_of(choices: Collection[str]) -> Validator:
    """Return a validator for one of several strings."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, str):
            raise wrong_type(name, "a string", value)
        if value not in choices:
            raise invalid(name, f"supported values are {', '.join(map(repr, choices))}")

    return check


def validate(checks: Mapping[str, Validator], body: Mapping[str, Any]) -> None:
    """Run the validators of the parameters that the body contains. A null value counts as absent."""
    for name, value in body.items():
        if value is not None and (check := checks.get(name)) is not None:
            check(name, value)


def check_metadata(metadata: Any) -> dict[str, str]:
    """Return valid metadata: up to 16 pairs, keys of up to 64 characters, values of up to 512."""
    if metadata is None:
        return {}
    of_type(dict)("metadata", metadata)
    if len(metadata) > MAX_PAIRS:
        raise invalid("metadata", f"expected at most {MAX_PAIRS} pairs, but got {len(metadata)}")
    for name, value in metadata.items():
        of_type(str)(f"metadata.{name}", value)
        if len(name) > MAX_PAIR_NAME or len(value) > MAX_PAIR_VALUE:
            raise invalid(
                "metadata", f"keys are limited to {MAX_PAIR_NAME} characters and values to {MAX_PAIR_VALUE}"
            )
    return dict(metadata)


def model_name(body: Mapping[str, Any]) -> str:
    """Return the name in a request's ``model`` parameter."""
    name = body.get("model")
    if name is None:
        raise missing("model")
    if not isinstance(name, str):
        raise wrong_type("model", "a string", name)
    if not name:
        raise invalid("model", "it must not be empty")
    return name
