"""A request to the fake provider, whether it came as JSON or as a form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inference.providers.base import Body, Form, Upload
from inference.providers.fake.options import FakeOptions, read


@dataclass(frozen=True, slots=True)
class FakeRequest:
    """The operation, its parameters and files, and the options of the fake model."""

    operation: str
    params: Mapping[str, Any]
    files: Sequence[Upload]
    options: FakeOptions

    @classmethod
    def of(cls, operation: str, body: Body) -> "FakeRequest":
        """Read a body."""
        params, files = (dict(body.fields), body.files) if isinstance(body, Form) else (body, ())
        return cls(operation, params, files, read(str(params.get("model") or "")))

    def number(self, *names: str, default: int) -> int:
        """Return the first of these parameters that is a whole number."""
        for name in names:
            try:
                return int(self.params[name])
            except (KeyError, TypeError, ValueError):
                continue
        return default
