from typing import Any
def context(request: Any, context: dict[str, Any]) -> dict[str, Any]:
    return context
