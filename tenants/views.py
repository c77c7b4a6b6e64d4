"""``AuthenticatedView``, the base of every API view that needs a key; it writes one usage event per request."""

from time import perf_counter
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.http.response import HttpResponseBase

from gtapi.errors import APIError, translate
from gtapi.web.request import APIRequest
from gtapi.web.responses import StreamResponse
from gtapi.web.views import AsyncAPIView, AsyncPermission
from tenants.authentication import KeyAuthentication, KeyFacts
from tenants.permissions import HasScope
from tenants.scopes import unknown_scopes
from tenants.usage import ledger


class AuthenticatedView(AsyncAPIView):
    """An API view that requires a key.

    ``scope`` is the required scope, ``scopes`` overrides it by method, and ``route`` is the route in the usage
    event. A view fills in ``self.usage``, the usage event, as it learns more. Streams record the event themselves,
    see ``tenants.streaming`` and ``inference.pipeline``.
    """

    authentication = KeyAuthentication()
    permissions: ClassVar[tuple[AsyncPermission, ...]] = (HasScope(),)
    auth: KeyFacts
    scope: ClassVar[str]
    scopes: ClassVar[dict[str, str]] = {}
    route: ClassVar[str]
    usage: "ledger.UsageEvent | None" = None
    started: float

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        names = [cls.scope, *cls.scopes.values()] if hasattr(cls, "scope") else list(cls.scopes.values())
        if unknown := unknown_scopes(names):
            raise ImproperlyConfigured(f"{cls.__qualname__} names unknown scopes: {', '.join(unknown)}.")

    async def initial(self, request: APIRequest) -> None:  # type: ignore[override]
        self.started = perf_counter()
        await super().initial(request)

    def on_authenticated(self, request: APIRequest) -> None:
        self.usage = ledger.UsageEvent(
            id=request.id,
            created_at=(request.id.int >> 80) / 1000,
            tenant_id=self.auth.tenant_id,
            key_id=self.auth.id,
            request_id=request.request_id,
            route=self.route,
        )

    def handle_exception(self, exc: Exception) -> HttpResponseBase:  # type: ignore[override]
        error = translate(exc)
        self.note(error)
        return super().handle_exception(error)

    def note(self, error: APIError) -> None:
        """Copy an error to the usage event."""
        if self.usage is not None:
            self.usage.fail(error)

    async def finalize_response(self, request: APIRequest, response: HttpResponseBase) -> HttpResponseBase:  # type: ignore[override]
        if not isinstance(response, StreamResponse):
            await self.record()
        return response

    async def on_disconnect(self, request: APIRequest) -> None:
        await self.record_abandoned()

    async def record_abandoned(self) -> None:
        """Record the usage event of a request whose client disconnected."""
        if self.usage is not None:
            self.usage.abandon()
            await self.record()

    async def record(self) -> None:
        """Make the usage event durable; a view does so once, before the last byte of the response leaves."""
        usage, self.usage = self.usage, None
        if usage is not None:
            usage.latency_ms = int((perf_counter() - self.started) * 1000)
            await ledger.record(usage)
