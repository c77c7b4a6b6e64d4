"""Django's stock ASGI handler, for the pages of people, with an end to what it takes.

It writes the body of a request to the disk before anything asks who sends it, and so far and so long as the client
likes. Here a form has little room; an upload has more, where it comes with a session that there is.
"""

import logging
from http.cookies import CookieError, SimpleCookie
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.db import InterfaceError, OperationalError

from gtapi.database import in_thread
from gtapi.errors import RequestTimeout, RequestTooLarge, Unavailable
from gtapi.web.api_handler import Send
from gtapi.web.timeouts import Receive, with_body_timeout

logger = logging.getLogger(__name__)

#: Bytes that a form may take: more than Django reads of one without files.
FORM_BYTES = 4 * 1024 * 1024
#: How the addresses end that take files.
UPLOADS = "/upload/"


class AdminHandler(ASGIHandler):
    """Serves the admin. A body that is larger than it may be gets a 413, one that comes too slowly a 408.

    With PostgreSQL away nobody can tell whose an upload is: it gets a 503.
    """

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:  # type: ignore[override]
        try:
            await self._serve(scope, receive, send)
        except (RequestTooLarge, RequestTimeout, Unavailable) as error:
            answer = error.message.encode()
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(answer))]
            await send({"type": "http.response.start", "status": error.status, "headers": headers})
            await send({"type": "http.response.body", "body": answer})

    async def _serve(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        limit = FORM_BYTES
        if scope["path"].endswith(UPLOADS) and await in_thread(_has_session, scope):
            limit += settings.MAX_UPLOAD_BYTES
        size = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        taken = 0

        limited = with_body_timeout(scope, receive)

        async def counted() -> dict[str, Any]:
            nonlocal taken
            message = await limited()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise RequestTooLarge(limit, "The request")
            return message

        if size.isdigit() and int(size) > limit:
            raise RequestTooLarge(limit, "The request")
        await super().__call__(scope, counted, send)  # type: ignore[arg-type]


def _has_session(scope: dict[str, Any]) -> bool:
    """Tell whether a request comes with a session that there is.

    Raises:
        Unavailable: PostgreSQL cannot be asked.
    """
    from django.contrib.sessions.models import Session
    from django.utils import timezone

    sent = b";".join(value for name, value in scope["headers"] if name == b"cookie")
    try:
        cookie = SimpleCookie(sent.decode("latin1")).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return False
    if cookie is None or "\0" in cookie.value:
        return False
    try:
        return Session.objects.filter(session_key=cookie.value, expire_date__gt=timezone.now()).exists()
    except (OperationalError, InterfaceError) as error:
        logger.warning("PostgreSQL cannot be asked for a session: %s", type(error).__name__)
        raise Unavailable from error
