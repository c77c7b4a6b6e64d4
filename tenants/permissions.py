"""What a key's scopes allow."""

from typing import Any

from gtapi.errors import PermissionDenied
from gtapi.web.request import APIRequest


def lacking(scope: str) -> PermissionDenied:
    """Return the answer for a key without a scope that its request needs."""
    return PermissionDenied(f"This API key lacks the scope '{scope}', which this request needs.")


class HasScope:
    """Lets a key pass that has the scope of the view: its ``scope``, or ``scopes`` by method."""

    def check(self, request: APIRequest, view: Any) -> None:
        """Raise ``PermissionDenied`` where the key lacks the scope."""
        scopes: dict[str, str] = getattr(view, "scopes", {})
        scope = scopes.get(request.method or "", view.scope)
        if scope not in view.auth.scopes:
            raise lacking(scope)
