"""The ASGI handler of the admin: Django's own, with limits on request bodies.

Django spools the body to disk before authentication, without limits of size or time. This handler caps form bodies,
and allows larger uploads with a valid session.
"""

import logging
from http.cookies import CookieError, SimpleCookie
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler

from gtapi.database import DATABASE_UNAVAILABLE, in_thread
from gtapi.errors import RequestTimeout, RequestTooLarge, Unavailable
from gtapi.web.api_handler import Send
from gtapi.web.timeouts import Receive, with_body_timeout

logger = logging.getLogger(__name__)

#: Largest form body in bytes; more than DATA_UPLOAD_MAX_MEMORY_SIZE, which applies to forms without files.
MAX_FORM_BYTES = 4 * 1024 * 1024
#: Suffix of the paths that accept file uploads.
UPLOAD_PATH_SUFFIX = "/upload/"


class AdminHandler(ASGIHandler):
    """Serves the admin. A body that is too large gets a 413, one that arrives too slowly a 408.

    While PostgreSQL is unavailable, sessions cannot be checked, so uploads get a 503.
    """

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:  # type: ignore[override]
        try:
            await self._serve(scope, receive, send)
        except (RequestTooLarge, RequestTimeout, Unavailable) as error:
            body = error.message.encode()
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": error.status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def _serve(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        limit = MAX_FORM_BYTES
        if scope["path"].endswith(UPLOAD_PATH_SUFFIX) and await in_thread(_has_session, scope):
            limit += settings.MAX_UPLOAD_BYTES
        size = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        received = 0
        receive_in_time = with_body_timeout(scope, receive)

        async def receive_limited() -> dict[str, Any]:
            nonlocal received
            message = await receive_in_time()
            received += len(message.get("body", b""))
            if received > limit:
                raise RequestTooLarge(limit)
            return message

        if size.isdigit() and int(size) > limit:
            raise RequestTooLarge(limit)
        await super().__call__(scope, receive_limited, send)  # type: ignore[arg-type]


def _has_session(scope: dict[str, Any]) -> bool:
    """Return whether the request has the cookie of a valid session.

    Raises:
        Unavailable: PostgreSQL is unreachable.
    """
    from django.contrib.sessions.models import Session
    from django.utils import timezone

    cookies = b";".join(value for name, value in scope["headers"] if name == b"cookie")
    try:
        cookie = SimpleCookie(cookies.decode("latin1")).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return False
    if cookie is None or "\0" in cookie.value:
        return False
    try:
        return Session.objects.filter(session_key=cookie.value, expire_date__gt=timezone.now()).exists()
    except DATABASE_UNAVAILABLE as error:
        logger.warning("cannot look up a session: %s", type(error).__name__)
        raise Unavailable from error
