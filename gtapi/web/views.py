"""The async base class of the API's views, built on DRF's ``APIView``.

Responses are always JSON, so there is no content negotiation. A view has one authentication and any number of
permissions; the body is not read before both have passed.
"""

import asyncio
from typing import Any, ClassVar, Protocol

from django.http.response import HttpResponseBase
from rest_framework.views import APIView

from gtapi.errors import MethodNotAllowed
from gtapi.web.request import APIRequest, ClientDisconnected


class AsyncAuthentication(Protocol):
    """Identifies the caller, or raises ``AuthenticationFailed``."""

    async def authenticate(self, request: APIRequest) -> Any: ...


class NoAuthentication:
    """Authentication for public routes."""

    async def authenticate(self, request: APIRequest) -> None:
        return None


class AsyncPermission(Protocol):
    """Raises ``PermissionDenied`` if the request is not allowed."""

    def check(self, request: APIRequest, view: Any) -> None: ...


class AsyncAPIView(APIView):
    """A view whose handlers (``get``, ``post``, …) are coroutines; ``self.auth`` is the authenticated caller.

    ``authentication`` and ``permissions`` replace DRF's lists of classes, which are synchronous.
    """

    authentication: ClassVar[AsyncAuthentication]
    permissions: ClassVar[tuple[AsyncPermission, ...]] = ()
    http_method_names = ["get", "post", "put", "patch", "delete", "head"]
    auth: Any = None

    async def dispatch(self, request: APIRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        self.request, self.args, self.kwargs = request, args, kwargs  # type: ignore[assignment]
        try:
            await self.initial(request)
            response = await self.call_handler(request, *args, **kwargs)
        except (ClientDisconnected, asyncio.CancelledError):
            await self.on_disconnect(request)
            raise
        except Exception as error:  # noqa: BLE001 - DRF's handler turns each into a response
            response = self.handle_exception(error)
        return await self.finalize_response(request, response)

    async def initial(self, request: APIRequest) -> None:  # type: ignore[override]
        """Authenticate, then check the permissions."""
        self.auth = await self.authentication.authenticate(request)
        self.on_authenticated(request)
        for permission in self.permissions:
            permission.check(request, self)

    def on_authenticated(self, request: APIRequest) -> None:
        """Called after authentication, before the permission checks."""

    async def call_handler(self, request: APIRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Call the handler of the request's HTTP method."""
        method = (request.method or "").lower()
        handler = getattr(self, method, None) if method in self.http_method_names else None
        if handler is None:
            raise MethodNotAllowed(
                f"Method {request.method} is not allowed. Allowed methods: {', '.join(self._methods())}.",
                headers={"allow": ", ".join(self._methods())},
            )
        response: HttpResponseBase = await handler(request, *args, **kwargs)
        return response

    async def finalize_response(self, request: APIRequest, response: HttpResponseBase) -> HttpResponseBase:  # type: ignore[override]
        """Called before the response is sent."""
        return response

    async def on_disconnect(self, request: APIRequest) -> None:
        """Called when the client disconnects."""

    def _methods(self) -> list[str]:
        return [name.upper() for name in self.http_method_names if hasattr(self, name)]
