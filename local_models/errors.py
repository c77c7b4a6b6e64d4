"""Errors of the local model server, and OpenAI's error envelope.

All are ``LocalModelError``: ``InvalidRequestError`` (400; ``ContextTooLongError`` is one),
``UnknownModelError`` (404), ``ModelFailedError`` (500), ``ModelUnavailableError`` (503).
"""


class LocalModelError(Exception):
    """An error response in OpenAI's envelope."""

    status = 500
    type = "server_error"
    code = "internal_error"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        self.message = message
        self.param = param
        self.code = code or self.code
        super().__init__(message)

    def body(self) -> dict[str, dict[str, str | None]]:
        """Return the envelope."""
        return envelope(self.message, kind=self.type, param=self.param, code=self.code)


class InvalidRequestError(LocalModelError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class ContextTooLongError(InvalidRequestError):
    code = "context_length_exceeded"


class UnknownModelError(LocalModelError):
    status = 404
    type = "invalid_request_error"
    code = "model_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"The model '{name}' does not exist or does not serve this route.", param="model")


class ModelFailedError(LocalModelError):
    """The engine failed on a valid request."""


class ModelUnavailableError(LocalModelError):
    """The model could not be loaded; the message tells the operator why."""

    status = 503
    code = "model_unavailable"


def envelope(
    message: str, *, kind: str, code: str, param: str | None = None
) -> dict[str, dict[str, str | None]]:
    """Return ``{"error": {...}}`` with all four keys, as clients expect."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
