"""Validation of an agent's parameters: the defaults and the forced values of its requests."""

import json
from typing import Any

#: Set by the gateway, or only meaningful for a single request.
RESERVED = frozenset({"model", "messages", "stream", "stream_options", "n", "user"})


def check_parameters(parameters: Any) -> str | None:
    """Return what is wrong with an agent's parameters, or None."""
    if not isinstance(parameters, dict):
        return "Enter a JSON object of parameter names and values."
    if reserved := sorted(RESERVED & parameters.keys()):
        return f"{', '.join(reserved)} cannot be set on an agent."
    try:
        written = json.dumps(parameters, allow_nan=False)
    except (TypeError, ValueError):
        return "Every value must be valid JSON, which excludes NaN and infinity."
    return "The NUL character cannot be stored." if "\\u0000" in written else None
