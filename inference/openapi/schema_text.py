"""Descriptions of schemas in words, for the reference page and the Markdown pages."""

from collections.abc import Mapping
from dataclasses import dataclass

from gtapi.json_types import JSON
from inference.openapi.assembly import description

_REFERENCE = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class FieldDescription:
    """The description of a parameter or of a response field; ``fields`` are those nested in it."""

    name: str
    type: str
    required: bool
    about: str
    fields: tuple["FieldDescription", ...] = ()


def parameters(properties: Mapping[str, JSON], required: tuple[str, ...]) -> list[FieldDescription]:
    """Return the descriptions of parameters."""
    return [
        FieldDescription(name, in_words(schema), name in required, _about(schema), fields(schema))
        for name, schema in properties.items()
    ]


def fields(schema: JSON, above: frozenset[str] = frozenset()) -> tuple[FieldDescription, ...]:
    """Return the fields of an object with their nested fields; recursion ends at a schema that contains itself."""
    name = _name(schema)
    if name in above:
        return ()
    above = above | {name} if name else above
    schema = resolved(schema)
    if "anyOf" in schema:
        variants = [_variant(variant, above) for variant in schema["anyOf"] if variant != {"type": "null"}]
        return variants[0].fields if len(variants) == 1 else tuple(v for v in variants if v.fields)
    if "items" in schema:
        return fields(schema["items"], above)
    return tuple(
        FieldDescription(
            name,
            in_words(inner),
            name in schema.get("required", ()),
            _about(inner),
            fields(inner, above),
        )
        for name, inner in schema.get("properties", {}).items()
    )


def _variant(schema: JSON, above: frozenset[str]) -> FieldDescription:
    """Return one of several forms of an object, under its title."""
    title = resolved(schema).get("title") or _name(schema) or in_words(schema)
    return FieldDescription(title, "", False, "", fields(schema, above))


def in_words(schema: JSON) -> str:
    """Return a schema's type, choices and limits: ``number, 0 to 2``."""
    if name := _name(schema):
        inner = resolved(schema)
        return name if inner.get("properties") or "anyOf" in inner else in_words(inner)
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(in_words(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"] if value is not None)
    kinds = schema.get("type", "anything")
    if kinds == "array":
        return f"array of {in_words(schema['items'])}" if "items" in schema else "array"
    if schema.get("format") == "binary":
        return "file"
    words = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    return words + _limits(schema)


def _limits(schema: JSON) -> str:
    least = schema.get("minimum", schema.get("minLength"))
    most = schema.get("maximum", schema.get("maxLength"))
    unit = " characters" if "maxLength" in schema else ""
    if least is not None and most is not None:
        return f", {least} to {most}{unit}"
    if most is not None:
        return f", at most {most}{unit}"
    if least is not None and "minimum" in schema:
        return f", at least {least}"
    return ""


def resolved(schema: JSON) -> JSON:
    """Return what a reference leads to; any other schema as it is."""
    name = _name(schema)
    found: JSON = description()["components"]["schemas"][name] if name else schema
    return found


def _name(schema: JSON) -> str:
    return str(schema.get("$ref", "")).removeprefix(_REFERENCE)


def _about(schema: JSON) -> str:
    about = schema.get("description") or (resolved(schema).get("description", "") if "$ref" in schema else "")
    if "default" in schema:
        value = str(schema["default"]).lower() if isinstance(schema["default"], bool) else schema["default"]
        about = f"{about} Default: `{value}`."
    return str(about).strip()
