"""Operators' uploads into a dataset: one request a file from the page's script, or a whole form without it."""

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

#: What a form's boundaries and headers may add to a file.
FRAME_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a file: either ``said`` or an ``error``, which is ``final`` where trying again is vain."""

    name: str
    created: bool = False
    said: str = ""
    error: str = ""
    final: bool = False
    status: int = 200


def to_disk(request: HttpRequest) -> None:
    """Let every file of the request go to the disk, whatever its size; before anything reads the form."""
    request.upload_handlers = [TemporaryFileUploadHandler(request)]


def wants_json(request: HttpRequest) -> bool:
    return "application/json" in request.headers.get("accept", "")


def too_large(request: HttpRequest, dataset: Dataset) -> RequestTooLarge | None:
    """Return the error of a request that cannot hold a file within the limit; its body is not taken apart."""
    length = request.META.get("CONTENT_LENGTH") or ""
    most = Quotas.of(dataset.tenant_id).file_bytes
    within = not length.isdecimal() or int(length) <= most + FRAME_BYTES
    return None if within else RequestTooLarge(most, "The file")


def receive(dataset: Dataset, files: Iterable[Any]) -> list[Received]:
    """Keep the files of a form in a dataset and say what became of each."""
    return [_receive(dataset, held) for held in files if isinstance(held, TemporaryUploadedFile)]


def _receive(dataset: Dataset, held: TemporaryUploadedFile) -> Received:
    incoming = IncomingFile(
        path=Path(held.temporary_file_path()),
        filename=held.name or "",
        content_type=held.content_type or "",
        size=held.size or 0,
    )
    try:
        kept = store_upload(
            FileUpload(dataset.tenant_id, None, File.Origin.DATASET, incoming, dataset=dataset)
        )
    except APIError as error:
        # Trying again helps only where the server was at fault.
        return Received(incoming.filename, error=error.message, final=error.status < 500, status=error.status)
    state = kept.dataset_file.state if kept.dataset_file else ""
    said = "added" if kept.created else f"is there already: {state}"
    return Received(kept.file.filename, created=kept.created, said=said)
