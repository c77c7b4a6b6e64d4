"""Download of a file by an operator, as a streamed attachment."""

import asyncio
from collections.abc import AsyncIterator

from django.core.files.base import File as StorageFile
from django.core.files.storage import default_storage
from django.core.handlers.asgi import ASGIRequest
from django.http import FileResponse, Http404, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

from files.models import File

BLOCK_BYTES = 256 * 1024


def attachment(request: HttpRequest, file: File) -> HttpResponseBase:
    """Return a file as an attachment of a generic type, so that browsers save and never render it.

    Raises:
        Http404: its bytes are missing in storage.
    """
    try:
        stream = default_storage.open(file.path)
    except FileNotFoundError:
        raise Http404("The bytes of this file are missing in storage.") from None
    # Django reads an iterator of the other kind into memory as a whole.
    is_async = isinstance(request, ASGIRequest)
    response: HttpResponseBase = StreamingHttpResponse(_blocks(stream)) if is_async else FileResponse(stream)
    response["Content-Type"] = "application/octet-stream"
    response["Content-Disposition"] = content_disposition_header(True, file.filename) or "attachment"
    response["Content-Length"] = str(file.bytes)
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "no-store, private"
    return response


async def _blocks(stream: StorageFile) -> AsyncIterator[bytes]:  # type: ignore[type-arg] # not generic at run time
    try:
        while block := await asyncio.to_thread(stream.read, BLOCK_BYTES):
            yield block
    finally:
        await asyncio.to_thread(stream.close)
