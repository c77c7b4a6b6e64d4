"""Example values for JSON schemas: the arguments of fake tool calls, and fake structured outputs."""

from typing import Any

from gtapi.json_types import JSON

#: How deep schemas are followed, which may contain themselves.
MAX_DEPTH = 8
_VALUES: JSON = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "null": None}


def example(schema: Any, root: JSON | None = None, depth: int = 0) -> Any:
    """Return a value that fits ``schema``, for the keywords that structured outputs use; the same one each time."""
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return None
    root = schema if root is None else root
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if isinstance(schema.get("$ref"), str):
        return example(_resolve(schema["$ref"], root), root, depth + 1)
    for keyword in ("anyOf", "oneOf", "allOf"):
        if schema.get(keyword):
            return example(schema[keyword][0], root, depth + 1)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object" or "properties" in schema:
        properties = schema.get("properties") or {}
        return {name: example(inner, root, depth + 1) for name, inner in properties.items()}
    if kind == "array":
        return [example(schema.get("items"), root, depth + 1)] * max(1, schema.get("minItems") or 1)
    if kind in ("integer", "number"):
        return schema.get("minimum", _VALUES[kind])
    return _VALUES.get(str(kind))


def _resolve(reference: str, root: JSON) -> Any:
    """Return the schema that ``#/$defs/name`` refers to."""
    value: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        if part:
            value = value.get(part) if isinstance(value, dict) else None
    return value
