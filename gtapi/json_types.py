"""Type alias for JSON objects."""

from typing import Any

JSON = dict[str, Any]
