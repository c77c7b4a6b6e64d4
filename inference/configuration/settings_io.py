"""Reads the settings of agents, keys and other configured objects from a configuration file, and writes them."""

from datetime import UTC
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models

from gtapi.crypto import EncryptedJSONField, EncryptedTextField
from gtapi.model_settings import Setting
from inference.configuration.field_reader import FieldReader


def read_settings(reader: FieldReader, model: Any) -> dict[str, Any]:
    """Return the settings of a model by model field; a secret that the file leaves out is None.

    Foreign keys are read as the name of a row, many-to-many relations as a tuple of names.
    """
    mappings: dict[str, FieldReader] = {"": reader}
    values = {}
    for setting in model.SETTINGS:
        mapping, _, name = setting.name.rpartition(".")
        if mapping not in mappings:
            mappings[mapping] = reader.mapping(mapping)
        values[setting.field] = _read(mappings[mapping], name, setting, setting.field_of(model))
    for mapping, nested in mappings.items():
        if mapping:
            nested.close()
    return values


def _read(reader: FieldReader, name: str, setting: Setting, field: Any) -> Any:
    match field:
        case EncryptedTextField():
            return reader.secret(name)
        case EncryptedJSONField():
            return reader.secrets(name)
        case models.ManyToManyField():
            return reader.texts(name)
        case ArrayField():
            return _read_list(reader, name, setting, field)
        case models.FloatField() | models.IntegerField():
            return _read_number(reader, name, setting, field)
        case models.BooleanField():
            return reader.switch(name, setting.default_of(field))
        case models.JSONField():
            return reader.json(name)
        case models.DateTimeField():
            return reader.moment(name)
    default = "" if field.is_relation else setting.default_of(field)
    if setting.options:
        return reader.choice(name, setting.noun, setting.options(), default)
    return reader.text(name, default)


def _read_number(reader: FieldReader, name: str, setting: Setting, field: Any) -> float | None:
    if isinstance(field, models.FloatField):
        return reader.number(name, setting.default_of(field))
    if not field.null:
        return reader.whole(name, setting.default_of(field))
    number = reader.whole(name, 0)
    return number if reader.has(name) else None


def _read_list(reader: FieldReader, name: str, setting: Setting, field: Any) -> list[str]:
    if setting.options is None:
        return list(reader.texts(name))
    chosen = reader.choices(name, setting.noun, setting.options())
    return list(chosen if reader.has(name) else setting.default_of(field))


def written_settings(row: Any) -> dict[str, Any]:
    """Return the settings of a row that differ from their defaults, by their names in configuration files.

    Secrets are left out; of secrets by name, the names are written.
    """
    written: dict[str, Any] = {}
    for setting in row.SETTINGS:
        field = setting.field_of(row)
        if isinstance(field, EncryptedTextField):
            continue
        value = _written(row, field)
        if value == _default(setting, field):
            continue
        mapping, _, name = setting.name.rpartition(".")
        (written.setdefault(mapping, {}) if mapping else written)[name] = value
    return written


def _written(row: Any, field: Any) -> Any:
    value = getattr(row, field.name)
    match field:
        case EncryptedJSONField():
            return dict.fromkeys(value)
        case models.ManyToManyField():
            return [related.name for related in value.all()]
        case models.ForeignKey():
            return value.name
        case models.DateTimeField():
            return value and value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case models.FloatField():
            return int(value) if value.is_integer() else value
    return value


def _default(setting: Setting, field: Any) -> Any:
    if isinstance(field, models.ManyToManyField):
        return []
    return None if field.is_relation else setting.default_of(field)
