"""Read the YAML files that are part of the program."""

from pathlib import Path
from typing import Any

import yaml

#: PyYAML's C loader if available: four times as fast.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file."""
    return yaml.load(path.read_text(), _Loader)  # noqa: S506 - both are safe loaders
