"""A file's bytes for an operator: an attachment, read in pieces."""

import asyncio
from collections.abc import AsyncIterator

from django.core.files.base import File as Stored
from django.core.files.storage import default_storage
from django.core.handlers.asgi import ASGIRequest
from django.http import FileResponse, Http404, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

from files.models import File

PIECE_BYTES = 256 * 1024


def attachment(request: HttpRequest, file: File) -> HttpResponseBase:
    """Return a file as an attachment without a type of its own, so that no browser shows it.

    Raises:
        Http404: its bytes are gone from storage.
    """
    try:
        held = default_storage.open(file.path)
    except FileNotFoundError:
        raise Http404("The bytes of this file are not in storage any more.") from None
    # An iterator of the other kind would be read into memory as a whole.
    on_a_loop = isinstance(request, ASGIRequest)
    response: HttpResponseBase = StreamingHttpResponse(_pieces(held)) if on_a_loop else FileResponse(held)
    response["Content-Type"] = "application/octet-stream"
    response["Content-Disposition"] = content_disposition_header(True, file.filename) or "attachment"
    response["Content-Length"] = str(file.bytes)
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "no-store, private"
    return response


async def _pieces(held: Stored) -> AsyncIterator[bytes]:  # type: ignore[type-arg] # not generic at run time
    try:
        while piece := await asyncio.to_thread(held.read, PIECE_BYTES):
            yield piece
    finally:
        await asyncio.to_thread(held.close)
