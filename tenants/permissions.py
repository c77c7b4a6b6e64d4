"""``HasScope``, the permission of API views that requires a scope of the key."""

from typing import Any

from gtapi.errors import PermissionDenied
from gtapi.web.request import APIRequest


def missing_scope(scope: str) -> PermissionDenied:
    """Return the error for a request that needs a scope which its key lacks."""
    return PermissionDenied(f"This API key lacks the scope '{scope}', which this request needs.")


class HasScope:
    """Requires the view's ``scope``, or the scope that its ``scopes`` name for the method."""

    def check(self, request: APIRequest, view: Any) -> None:
        """Raise ``PermissionDenied`` if the key lacks the scope."""
        scopes: dict[str, str] = getattr(view, "scopes", {})
        scope = scopes.get(request.method or "", view.scope)
        if scope not in view.auth.scopes:
            raise missing_scope(scope)
