"""Operators' uploads into a dataset: one request per file from the script, or a whole form without it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.http import HttpRequest

from files.models import Dataset, File
from files.uploads.quotas import Quotas
from files.uploads.store import FileUpload, IncomingFile, store_upload
from gtapi.errors import APIError, RequestTooLarge

#: Most bytes that a form's boundaries and headers add to a file.
FRAME_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class UploadResult:
    """The result of one upload: ``said`` or an ``error``, which is ``final`` if a retry cannot help."""

    name: str
    created: bool = False
    said: str = ""
    error: str = ""
    final: bool = False
    status: int = 200


def to_disk(request: HttpRequest) -> None:
    """Write every file of the request to disk, whatever its size. Call it before the form is read."""
    request.upload_handlers = [TemporaryFileUploadHandler(request)]


def wants_json(request: HttpRequest) -> bool:
    return "application/json" in request.headers.get("accept", "")


def too_large(request: HttpRequest, dataset: Dataset) -> RequestTooLarge | None:
    """Return the error for a request whose file exceeds the limit, without parsing its body."""
    length = request.META.get("CONTENT_LENGTH") or ""
    limit = Quotas.of(dataset.tenant_id).file_bytes
    within = not length.isdecimal() or int(length) <= limit + FRAME_BYTES
    return None if within else RequestTooLarge(limit, "The file")


def receive(dataset: Dataset, files: Iterable[Any]) -> list[UploadResult]:
    """Store the files of a form in a dataset, and return the result of each."""
    return [_receive(dataset, file) for file in files if isinstance(file, TemporaryUploadedFile)]


def _receive(dataset: Dataset, file: TemporaryUploadedFile) -> UploadResult:
    incoming = IncomingFile(
        path=Path(file.temporary_file_path()),
        filename=file.name or "",
        content_type=file.content_type or "",
        size=file.size or 0,
    )
    try:
        stored = store_upload(
            FileUpload(dataset.tenant_id, None, File.Origin.DATASET, incoming, dataset=dataset)
        )
    except APIError as error:
        # A retry helps only after a server error.
        return UploadResult(
            incoming.filename, error=error.message, final=error.status < 500, status=error.status
        )
    state = stored.dataset_file.state if stored.dataset_file else ""
    said = "added" if stored.created else f"already exists: {state}"
    return UploadResult(stored.file.filename, created=stored.created, said=said)
