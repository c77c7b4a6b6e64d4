"""Reads typed fields of a mapping and collects all problems instead of stopping at the first."""

from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, time
from math import isfinite
from typing import Any

from inference.configuration.errors import ConfigProblem, nearest, unknown
from inference.configuration.load import FromEnvironment

_SWITCH = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


class FieldReader:
    """The fields of one mapping. A field that is absent or null has its default.

    Each method reads one field by name and, where its value is of a wrong type, notes a problem and returns
    the default. ``close`` reports the fields that were not read.
    """

    def __init__(self, value: Any, path: str, problems: list[ConfigProblem]) -> None:
        self.path = path
        self._problems = problems
        self._asked: list[str] = []
        self._is_mapping = isinstance(value, dict)
        self._values: dict[str, Any] = value if isinstance(value, dict) else {}
        if not self._is_mapping:
            problems.append(ConfigProblem(path, "this has to be a mapping of fields"))

    def at(self, name: str) -> str:
        """Return the path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def note(self, name: str, message: str) -> None:
        """Note what is wrong with a field."""
        self._problems.append(ConfigProblem(self.at(name), message))

    def has(self, name: str) -> bool:
        """Tell whether a field is there and not null."""
        return self._values.get(name) is not None

    def _take(self, name: str) -> Any:
        if name not in self._asked:
            self._asked.append(name)
        return self._values.get(name)

    def name(self, name: str) -> str:
        """Read the field that names the mapping: text, and the one kind that is required."""
        if self._is_mapping and not self.has(name):
            self.note(name, "this field is missing")
        return self.text(name)

    def text(self, name: str, default: str = "") -> str:
        value = self._take(name)
        if value is None:
            return default
        return self._text(value, name) or ""

    def secret(self, name: str) -> str | None:
        """Read text that is never shown; None where the stored one stays."""
        value = self._take(name)
        return None if value is None else self._secret(value, name)

    def secrets(self, name: str) -> dict[str, str | None]:
        """Read a mapping of secrets by name."""
        value = self._take(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.note(name, "this has to be a mapping of names and values")
            return {}
        return {
            key: None if item is None else self._secret(item, f"{name}.{key}") for key, item in value.items()
        }

    def _secret(self, value: Any, name: str) -> str | None:
        # Some systems set a variable that they do not know to nothing; that must not wipe out a credential.
        if isinstance(value, FromEnvironment) and not value:
            self.note(name, 'the variable is empty; write "" to clear what is stored')
        return self._text(value, name)

    def _text(self, value: Any, name: str) -> str | None:
        if isinstance(value, str):
            return str(value)
        kind = (
            "this has to be text"
            if isinstance(value, (dict, list))
            else "this has to be text; put it in quotes"
        )
        self.note(name, kind)
        return None

    def texts(self, name: str) -> tuple[str, ...]:
        """Read a list of text, each once."""
        value = self._take(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            self.note(name, "this has to be a list")
            return ()
        read = [self._text(item, f"{name}[{index}]") for index, item in enumerate(value)]
        return tuple(dict.fromkeys(text for text in read if text is not None))

    def choices(self, name: str, kind: str, options: Collection[str]) -> tuple[str, ...]:
        """Read a list of text of which each has to be one of ``options``; keeps the order of those."""
        read = self.texts(name)
        for text in read:
            if text not in options:
                index = self._values[name].index(text)
                self.note(f"{name}[{index}]", unknown(kind, text, options))
        return tuple(option for option in options if option in read)

    def choice(self, name: str, kind: str, options: Collection[str], default: str = "") -> str:
        """Read text that has to be one of ``options``."""
        read = self.text(name, default)
        if self.has(name) and read not in options:
            self.note(name, unknown(kind, read, options))
        return read

    def is_text(self, name: str, text: str) -> bool:
        """Tell whether a field is this very text."""
        return isinstance(self._take(name), str) and self._values[name] == text

    def switch(self, name: str, default: bool) -> bool:
        value = self._take(name)
        if value is None:
            return default
        if isinstance(value, FromEnvironment):
            value = _SWITCH.get(value.lower())
        if not isinstance(value, bool):
            self.note(name, "this has to be true or false")
            return default
        return value

    def number(self, name: str, default: float) -> float:
        value = self._take(name)
        if value is None:
            return default
        try:
            number = float(value) if isinstance(value, (int, float, FromEnvironment)) else None
        except (ValueError, OverflowError):
            number = None
        if number is None or isinstance(value, bool) or not isfinite(number):
            self.note(name, "this has to be a number")
            return default
        return number

    def whole(self, name: str, default: int) -> int:
        """Read a whole number."""
        number = self.number(name, default)
        if number % 1:
            self.note(name, "this has to be a whole number")
            return default
        return int(number)

    def moment(self, name: str) -> datetime | None:
        """Read a date or a date with time; see ``as_moment``."""
        value = self._take(name)
        if value is None:
            return None
        try:
            return as_moment(value)
        except ValueError:
            self.note(name, "this has to be a date, such as 2030-12-31 or 2030-12-31T18:00:00Z")
            return None

    def json(self, name: str) -> dict[str, Any]:
        """Read a mapping of anything that JSON can hold."""
        value = self._take(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.note(name, "this has to be a mapping")
            return {}
        return {key: self._json(item, f"{name}.{key}") for key, item in value.items()}

    def _json(self, value: Any, name: str) -> Any:
        if isinstance(value, dict):
            return {key: self._json(item, f"{name}.{key}") for key, item in value.items()}
        if isinstance(value, list):
            return [self._json(item, f"{name}[{index}]") for index, item in enumerate(value)]
        if isinstance(value, str):
            return str(value)
        if isinstance(value, date) or (isinstance(value, float) and not isfinite(value)):
            self.note(name, "JSON has no such value; put it in quotes to make it text")
            return None
        return value

    def mapping(self, name: str) -> "FieldReader":
        """Return the fields of the mapping under ``name``, which may be absent."""
        value = self._take(name)
        return FieldReader({} if value is None else value, self.at(name), self._problems)

    def items(self, name: str) -> Iterator["FieldReader"]:
        """Yield the fields of each mapping in the list under ``name``."""
        value = self._take(name)
        if value is not None and not isinstance(value, list):
            self.note(name, "this has to be a list")
        elif value:
            for index, item in enumerate(value):
                yield FieldReader(item, f"{self.at(name)}[{index}]", self._problems)

    def close(self) -> None:
        """Note each field that was not read."""
        for name in self._values:
            if name not in self._asked:
                meant = nearest(name, self._asked)
                hint = f"did you mean {meant}?" if meant else f"the fields here are {', '.join(self._asked)}"
                self.note(name, f"unknown field; {hint}")


def as_moment(value: Any) -> datetime:
    """Return the moment that a date, a date with time or the ISO form of either names.

    A date is its first moment; without a time zone it is UTC.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value.strip())
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise ValueError
