"""Composable SQL fragments with their parameters."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SQL:
    """A fragment of a statement, and the values of its placeholders in their order."""

    text: str
    values: tuple[Any, ...] = ()


def sql(template: str, *parts: "SQL | Any") -> SQL:
    """Return ``template`` with a part for each ``{}``: SQL is inserted, other values become parameters."""
    texts: list[str] = []
    values: list[Any] = []
    for part in parts:
        if isinstance(part, SQL):
            texts.append(part.text)
            values += part.values
        else:
            texts.append("%s")
            values.append(part)
    return SQL(template.format(*texts), tuple(values))


def joined(separator: str, parts: Iterable[SQL]) -> SQL:
    """Return the parts with ``separator`` between them."""
    fragments: Sequence[SQL] = list(parts)
    return SQL(
        separator.join(part.text for part in fragments), tuple(v for part in fragments for v in part.values)
    )
