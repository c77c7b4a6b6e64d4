"""A browser at the admin, without a socket."""

from typing import Any

from django import test


class Client(test.Client):
    """Django's own, but that all load the middleware once: each time, WhiteNoise looks up every static file."""

    def __init__(self, enforce_csrf_checks: bool = False, **options: Any) -> None:
        super().__init__(enforce_csrf_checks, **options)
        self.handler = _handlers.setdefault(enforce_csrf_checks, self.handler)


_handlers: dict[bool, test.client.ClientHandler] = {}
