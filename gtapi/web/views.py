"""The async base of the API's views: DRF's ``APIView``, with its slow parts fixed in advance.

Content negotiation always gives JSON, there is one authenticator and any number of permissions, and nothing of
the body is read before both have spoken.
"""

import asyncio
from typing import Any, ClassVar, Protocol

from django.http.response import HttpResponseBase
from rest_framework.views import APIView

from gtapi.errors import MethodNotAllowed
from gtapi.web.request import APIRequest, ClientDisconnected


class AsyncAuthentication(Protocol):
    """Returns who asks, or raises ``AuthenticationFailed``."""

    async def authenticate(self, request: APIRequest) -> Any: ...


class NoAuthentication:
    """The authentication of what needs no key."""

    async def authenticate(self, request: APIRequest) -> None:
        return None


class AsyncPermission(Protocol):
    """Returns if the request may go on, or raises ``PermissionDenied``."""

    def check(self, request: APIRequest, view: Any) -> None: ...


class AsyncAPIView(APIView):
    """A view of the API. Handlers are coroutines named after methods; ``self.auth`` is who asks.

    ``authentication`` and ``permissions`` stand in for DRF's lists of classes, which can only be called without
    waiting.
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
        except Exception as error:  # noqa: BLE001 - DRF's handler makes an envelope of each
            response = self.handle_exception(error)
        return await self.finalize_response(request, response)

    async def initial(self, request: APIRequest) -> None:  # type: ignore[override]
        """Authenticate, then ask the permissions."""
        self.auth = await self.authentication.authenticate(request)
        self.on_authenticated(request)
        for permission in self.permissions:
            permission.check(request, self)

    def on_authenticated(self, request: APIRequest) -> None:
        """Take note of who asks, before anything can be refused to them."""

    async def call_handler(self, request: APIRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Call the method's handler."""
        method = (request.method or "").lower()
        handler = getattr(self, method, None) if method in self.http_method_names else None
        if handler is None:
            raise MethodNotAllowed(
                f"The method {request.method} is not allowed here. Allowed: {', '.join(self._methods())}.",
                headers={"allow": ", ".join(self._methods())},
            )
        response: HttpResponseBase = await handler(request, *args, **kwargs)
        return response

    async def finalize_response(self, request: APIRequest, response: HttpResponseBase) -> HttpResponseBase:  # type: ignore[override]
        """Do what has to be done before an answer leaves."""
        return response

    async def on_disconnect(self, request: APIRequest) -> None:
        """Do what has to be done when the client has left."""

    def _methods(self) -> list[str]:
        return [name.upper() for name in self.http_method_names if hasattr(self, name)]
