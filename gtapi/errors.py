"""API errors, and the exception handler that turns them into responses.

Every error response is ``{"error": {"message", "type", "param", "code"}}`` with all four keys, as OpenAI's clients
expect. The message is always written by the gateway; a provider's error text goes into ``detail``.

    APIError
    ├── BadRequest             400
    │   ├── InvalidJSON
    │   └── ContextLengthExceeded
    ├── AuthenticationFailed   401
    ├── PermissionDenied       403
    ├── NotFound               404
    │   ├── ModelNotFound
    │   └── UnknownURL
    ├── MethodNotAllowed       405
    ├── RequestTimeout         408
    ├── Conflict               409
    ├── RequestTooLarge        413
    ├── UnsupportedMediaType   415
    ├── RateLimited            429
    ├── HeadersTooLarge        431
    ├── ServerError            500
    ├── UpstreamFailed         502
    ├── Unavailable            503
    │   ├── StorageUnavailable
    │   └── UpstreamOverloaded
    └── UpstreamTimeout        504
"""

import logging
from typing import Any

from django.http import Http404
from rest_framework import exceptions as drf

from gtapi.database import DATABASE_UNAVAILABLE
from gtapi.text import pluralize
from gtapi.web.responses import JSONResponse

logger = logging.getLogger(__name__)


class APIError(Exception):
    """An error response: status, the four fields of OpenAI's error object, and headers.

    ``detail`` is for operators: it is stored in the usage record and never sent to the client.
    """

    status = 500
    type = "server_error"
    code: str | None = None
    message = "The server had an error while processing your request."

    def __init__(
        self,
        message: str | None = None,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
        detail: str = "",
    ) -> None:
        self.message = message or self.message
        self.param = param
        self.code = code or self.code
        self.headers = headers or {}
        self.detail = detail
        super().__init__(self.message)

    def body(self) -> dict[str, dict[str, str | None]]:
        """Return the JSON body."""
        return {
            "error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code},
        }

    def response(self) -> JSONResponse:
        """Return the HTTP response."""
        return JSONResponse(self.body(), status=self.status, headers=self.headers)


class BadRequest(APIError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_value"
    message = "The request is invalid."


class InvalidJSON(BadRequest):
    code = "invalid_json"
    message = "We could not parse the JSON body of your request."


class ContextLengthExceeded(BadRequest):
    code = "context_length_exceeded"
    # LangChain and LiteLLM recognize this error by its first words, which are OpenAI's, not by its code.
    message = (
        "Input tokens exceed the configured limit of the model's context length. Please shorten the input."
    )


class AuthenticationFailed(APIError):
    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"
    message = (
        "Incorrect API key provided, or the API key is missing. Send a valid key in the header"
        " 'Authorization: Bearer gtak_...'."
    )


class PermissionDenied(APIError):
    status = 403
    type = "invalid_request_error"
    code = "insufficient_scope"
    message = "This API key does not have permission to do this."


class NotFound(APIError):
    status = 404
    type = "invalid_request_error"
    code = "not_found"
    message = "The requested object was not found."


class ModelNotFound(NotFound):
    """The model does not exist, is not published or is not granted to the key: clients cannot tell which."""

    code = "model_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"The model '{name}' does not exist or you do not have access to it.", param="model")


class UnknownURL(NotFound):
    code = "unknown_url"

    def __init__(self, method: str, path: str) -> None:
        super().__init__(f"Unknown request URL: {method} {path}. Please check the URL for typos.")


class MethodNotAllowed(APIError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"
    message = "This method is not allowed for this URL."


class RequestTimeout(APIError):
    """The request body was not received in time."""

    status = 408
    type = "invalid_request_error"
    code = "request_timeout"
    message = "Timed out while reading the request body. Please try again."


class Conflict(APIError):
    status = 409
    type = "invalid_request_error"
    code = "conflict"
    message = "The request conflicts with another request."


class RequestTooLarge(APIError):
    status = 413
    type = "invalid_request_error"
    code = "request_too_large"

    def __init__(self, limit: int, what: str = "The request body") -> None:
        super().__init__(f"{what} exceeds the limit of {pluralize(limit, 'byte')}.")


class UnsupportedMediaType(APIError):
    status = 415
    type = "invalid_request_error"
    code = "unsupported_media_type"
    message = (
        "Unsupported content type. Send the body as JSON with the header 'Content-Type: application/json'."
    )


class HeadersTooLarge(APIError):
    status = 431
    type = "invalid_request_error"
    code = "headers_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request headers exceed the limit of {pluralize(limit, 'byte')}.")


class RateLimited(APIError):
    status = 429
    type = "requests"
    code = "rate_limit_exceeded"
    message = "Rate limit reached. Please slow down."


class ServerError(APIError):
    """An unexpected error in the gateway."""

    code = "internal_error"


class UpstreamFailed(APIError):
    """The provider failed, or returned an error that the client cannot act on."""

    status = 502
    type = "server_error"
    code = "upstream_error"
    message = "The model failed to process this request."


class Unavailable(APIError):
    status = 503
    type = "server_error"
    code = "service_unavailable"
    message = "The service is temporarily unavailable. Please try again."


class StorageUnavailable(Unavailable):
    """File storage cannot be read or written, for example because a disk is full."""

    #: Value of the Retry-After header, in seconds.
    retry_after = 5

    def __init__(self, message: str, cause: Exception) -> None:
        super().__init__(
            message,
            headers={"retry-after": str(self.retry_after)},
            detail=f"{type(cause).__name__}: {cause}"[:500],
        )


class UpstreamOverloaded(Unavailable):
    code = "upstream_overloaded"
    message = "The model is currently overloaded. Please try again."


class UpstreamTimeout(APIError):
    status = 504
    type = "server_error"
    code = "upstream_timeout"
    message = "The model did not respond in time."


def translate(exception: Exception) -> APIError:
    """Return the API error for an exception. An unexpected exception is logged and becomes a 500."""
    if isinstance(exception, APIError):
        return exception
    if isinstance(exception, Http404 | drf.NotFound):
        return NotFound()
    if isinstance(exception, drf.MethodNotAllowed):
        return MethodNotAllowed(f"{exception.detail} See the API documentation for supported methods.")
    if isinstance(exception, drf.UnsupportedMediaType):
        return UnsupportedMediaType()
    if isinstance(exception, drf.NotAuthenticated | drf.AuthenticationFailed):
        return AuthenticationFailed()
    if isinstance(exception, drf.PermissionDenied):
        return PermissionDenied()
    if isinstance(exception, drf.APIException) and exception.status_code < 500:
        return BadRequest(str(exception.detail))
    if isinstance(exception, DATABASE_UNAVAILABLE):
        return Unavailable(detail="PostgreSQL is unreachable")
    logger.error("unhandled error", exc_info=exception)
    return ServerError(detail=type(exception).__name__)


def exception_handler(exception: Exception, context: dict[str, Any]) -> JSONResponse:
    """DRF's ``EXCEPTION_HANDLER``."""
    return translate(exception).response()
