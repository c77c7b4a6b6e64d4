"""Creates or updates one row: validates it and saves the fields that differ."""

import json
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models

from inference.configuration.errors import ConfigProblem

#: Lists whose order means nothing.
UNORDERED = frozenset({"hosts", "capabilities", "scopes"})


def differs(field: str, before: Any, after: Any) -> bool:
    """Tell whether two values of a field mean different things."""
    if field in UNORDERED:
        return set(before) != set(after)
    if isinstance(after, dict):
        # Python holds true and 1 for equal; JSON does not.
        return json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True)
    return bool(before != after)


def store(
    row: models.Model, values: Mapping[str, Any], path: str, names: Mapping[str, str] | None = None
) -> tuple[list[str], list[ConfigProblem]]:
    """Give a row these values, validate it and save it where it is new or differs.

    Args:
        row: the row, saved or not.
        values: by the model's field names.
        path: where the record stands in the file.
        names: what the file calls those fields whose names differ.

    Returns:
        what changed, in the file's names, and what is wrong; with anything wrong nothing is saved.
    """
    names = names or {}
    is_new = row._state.adding  # noqa: SLF001 - Django documents it
    before = {} if is_new else {field: getattr(row, field) for field in values}
    for field, value in values.items():
        setattr(row, field, value)
    try:
        row.full_clean()
    except ValidationError as error:
        return [], problems_of(error, path, names)
    if is_new:
        row.save()
        return [], []
    changed = [field for field in values if differs(field, before[field], getattr(row, field))]
    if changed:
        row.save(update_fields=changed)
    return [names.get(field, field) for field in changed], []


def problems_of(error: ValidationError, path: str, names: Mapping[str, str]) -> list[ConfigProblem]:
    """Return what a model found wrong, with the paths of the file's fields."""
    if not hasattr(error, "error_dict"):
        return [ConfigProblem(path, message) for message in error.messages]
    shown = {**names, NON_FIELD_ERRORS: ""}
    return [
        ConfigProblem(".".join(filter(None, [path, shown.get(field, field)])), message)
        for field, messages in error.message_dict.items()
        for message in messages
    ]
