"""Copies of JSON values with one value replaced."""

import copy
from collections.abc import Iterator
from typing import Any


def places(value: Any, at: tuple = ()) -> Iterator[tuple]:
    """The way to every value inside a value."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*at, key)
            yield from places(inner, (*at, key))


def changed(value: Any, at: tuple, odd: Any) -> Any:
    """A copy with one value replaced."""
    copied = inner = copy.deepcopy(value)
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = odd
    return copied
