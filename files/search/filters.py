"""Filters on the attributes of files, in OpenAI's schema, as SQL conditions.

A comparison is ``{"type": "eq", "key": "year", "value": 2024}``; ``{"type": "and", "filters": [...]}`` and ``or``
combine others. Types matter: the number 1 is not the string "1". A file without the attribute only passes
``ne`` and ``nin``. ``gt``, ``gte``, ``lt`` and ``lte`` compare numbers with numbers and strings with strings,
in code point order, so that dates such as 2024-05-31 sort correctly.
"""

import json
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

from files.search.sql import SQL, joined, sql
from gtapi.validation import MAX_PAIR_NAME, MAX_PAIR_VALUE, invalid, missing, one_of, wrong_type

JSON: TypeAlias = dict[str, Any]

#: Most nesting, most filters, most values of one filter, and most values in all.
MAX_DEPTH = 8
MAX_FILTERS = 100
MAX_VALUES = 500
MAX_ALL_VALUES = 2_000
#: The largest finite float.
LARGEST = sys.float_info.max
ORDERED = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
COMPOUNDS = {"and": " AND ", "or": " OR "}
KINDS = ("eq", "ne", *ORDERED, "in", "nin", *COMPOUNDS)


def condition(filters: JSON | None, column: SQL) -> SQL:
    """Return the condition that ``filters`` put on ``column``, which holds the attributes; TRUE for none.

    Raises:
        BadRequest: they are invalid; the error names the part.
    """
    if filters is None:
        return sql("TRUE")
    return _Builder(column).build("filters", filters, 1)


class _Builder:
    """Builds the condition and enforces the limits."""

    def __init__(self, column: SQL) -> None:
        self._column = column
        self._room = MAX_FILTERS
        self._values = MAX_ALL_VALUES

    def build(self, where: str, given: Any, depth: int) -> SQL:
        if not isinstance(given, dict):
            raise wrong_type(where, "an object", given)
        self._room -= 1
        if self._room < 0:
            raise invalid("filters", f"there are more than {MAX_FILTERS} of them")
        kind = given.get("type")
        if kind is None:
            raise missing(f"{where}.type")
        one_of(KINDS)(f"{where}.type", kind)
        if kind in COMPOUNDS:
            return self._compound(where, given, depth)
        if isinstance(given.get("value"), list):
            self._values -= len(given["value"])
            if self._values < 0:
                raise invalid("filters", f"they list more than {MAX_ALL_VALUES:,} values")
        return _comparison(where, kind, given, self._column)

    def _compound(self, where: str, given: JSON, depth: int) -> SQL:
        inner = given.get("filters")
        if not isinstance(inner, list):
            raise wrong_type(f"{where}.filters", "an array", inner)
        if not inner:
            raise invalid(f"{where}.filters", "it must not be empty")
        if depth == MAX_DEPTH:
            raise invalid("filters", f"they are nested more than {MAX_DEPTH} deep")
        parts = (self.build(f"{where}.filters[{at}]", item, depth + 1) for at, item in enumerate(inner))
        return sql("({})", joined(COMPOUNDS[given["type"]], parts))


def _comparison(where: str, kind: str, given: JSON, column: SQL) -> SQL:
    key, value = given.get("key"), given.get("value")
    if not isinstance(key, str):
        raise wrong_type(f"{where}.key", "a string", key)
    _check_text(f"{where}.key", key, MAX_PAIR_NAME)
    if "value" not in given:
        raise missing(f"{where}.value")
    found = sql("({} -> {}::text)", column, key)
    return _BUILDERS[kind](f"{where}.value", kind, value, found)


def _equal(where: str, kind: str, value: Any, found: SQL) -> SQL:
    _check_value(where, value)
    same = sql("COALESCE({} = {}::jsonb, FALSE)", found, json.dumps(value))
    return same if kind == "eq" else sql("(NOT {})", same)


def _among(where: str, kind: str, value: Any, found: SQL) -> SQL:
    if not isinstance(value, list):
        raise wrong_type(where, "an array", value)
    if len(value) > MAX_VALUES:
        raise invalid(where, f"expected at most {MAX_VALUES} values, but got {len(value)}")
    for at, item in enumerate(value):
        _check_value(f"{where}[{at}]", item)
    among = sql("COALESCE({} = ANY({}::jsonb[]), FALSE)", found, [json.dumps(item) for item in value])
    return among if kind == "in" else sql("(NOT {})", among)


def _ordered(where: str, kind: str, value: Any, found: SQL) -> SQL:
    if isinstance(value, bool):
        raise wrong_type(where, "a number or a string", value)
    _check_value(where, value)
    sign = SQL(ORDERED[kind])
    if isinstance(value, str):
        of_type, left, right = (
            "string",
            sql('({} #>> ARRAY[]::text[]) COLLATE "C"', found),
            sql("{}::text", value),
        )
    else:
        of_type, left, right = "number", found, sql("{}::jsonb", json.dumps(value))
    # A CASE, since AND does not guarantee an order of evaluation.
    return sql(
        "(CASE jsonb_typeof({}) WHEN {} THEN {} {} {} ELSE FALSE END)", found, of_type, left, sign, right
    )


_BUILDERS: dict[str, Callable[[str, str, Any, SQL], SQL]] = {
    "eq": _equal,
    "ne": _equal,
    "in": _among,
    "nin": _among,
    **dict.fromkeys(ORDERED, _ordered),
}


def _check_value(where: str, value: Any) -> None:
    if isinstance(value, str):
        _check_text(where, value, MAX_PAIR_VALUE)
    elif not isinstance(value, bool | int | float):
        raise wrong_type(where, "a string, a number or a boolean", value)
    elif not -LARGEST <= value <= LARGEST:
        raise invalid(where, "it is not a finite number")


def _check_text(where: str, text: str, most: int) -> None:
    """Refuse texts that no attribute can have: too long, or with NUL or a lone surrogate."""
    if len(text) > most:
        raise invalid(where, f"expected at most {most} characters, but got {len(text):,}")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise invalid(where, "it contains NUL or a lone surrogate")
