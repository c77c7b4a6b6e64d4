"""Parameters that an operator can give to an agent, as defaults or forced."""

import json
from typing import Any

#: What the gateway decides by itself, or what belongs to one request and not to an agent.
RESERVED = frozenset({"model", "messages", "stream", "stream_options", "n", "user"})


def check_parameters(parameters: Any) -> str | None:
    """Return what is wrong with an agent's parameters, or None."""
    if not isinstance(parameters, dict):
        return "Give an object of parameter names and values."
    if reserved := sorted(RESERVED & parameters.keys()):
        return f"{', '.join(reserved)} cannot be set on an agent."
    try:
        written = json.dumps(parameters, allow_nan=False)
    except (TypeError, ValueError):
        return "Every value has to be one that JSON can write; NaN and infinity are none."
    return "The NUL character cannot be stored." if "\\u0000" in written else None
