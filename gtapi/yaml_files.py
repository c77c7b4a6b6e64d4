"""Files of data that are part of the program."""

from pathlib import Path
from typing import Any

import yaml

#: libyaml, where PyYAML was built with it: the same, in a quarter of the time.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> Any:
    """Return what a file of our own says."""
    return yaml.load(path.read_text(), _Loader)  # noqa: S506 - a safe loader, both ways
