"""Declares which fields of a model are settings, for configuration files, the admin, versions and their diff.

A model lists its settings once, as ``SETTINGS``. Type, default, label and help text are those of the model field,
so a new setting takes one model field and one ``Setting``.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from django.db import models

_FROM_THE_FIELD: Any = object()


@dataclass(frozen=True, slots=True)
class Setting:
    """A model field that operators set.

    Attributes:
        field: the name of the model field.
        path: its name in configuration files if it differs; ``timeouts.total`` is a field within a mapping.
        section: the heading under which the admin form shows it; empty for the first, unnamed section.
        options: the values that a configuration file may use, where they are limited.
        noun: what a value is called in error messages about ``options``.
        default: the value if a configuration file leaves it out; otherwise the model field's own default.
    """

    field: str
    path: str = ""
    section: str = ""
    options: Callable[[], Collection[str]] | None = None
    noun: str = ""
    default: Any = _FROM_THE_FIELD

    @property
    def name(self) -> str:
        """Its name in configuration files."""
        return self.path or self.field

    def field_of(self, model: Any) -> Any:
        """Return the field of a model or of one of its rows."""
        return model._meta.get_field(self.field)  # noqa: SLF001 - Django documents it

    def default_of(self, field: "models.Field[Any, Any]") -> Any:
        """Return its value where a configuration file leaves it out."""
        return field.get_default() if self.default is _FROM_THE_FIELD else self.default


def by_section(settings: Iterable[Setting]) -> dict[str, tuple[str, ...]]:
    """Return the model fields of each section, in the order of declaration."""
    sections: dict[str, tuple[str, ...]] = {}
    for setting in settings:
        sections[setting.section] = (*sections.get(setting.section, ()), setting.field)
    return sections


def file_names(settings: Iterable[Setting]) -> dict[str, str]:
    """Return the names in configuration files of the model fields that are called differently there."""
    return {setting.field: setting.path for setting in settings if setting.path}
