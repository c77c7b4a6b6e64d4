"""What clients see of files: one row, two faces.

A file that came by our own routes says ``uploaded``, ``processing``, ``ready`` or ``failed``; OpenAI's clients know
``uploaded``, ``processed`` and ``error``. What more there is to say stands in keys of our own, which are the same
in both.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from files.models import DatasetFile, File

JSON = dict[str, Any]
State = DatasetFile.State

#: What a client may say that a file is for.
PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data")
#: What OpenAI's clients can read; some of them only OpenAI itself makes.
ALL_PURPOSES = (*PURPOSES, "assistants_output", "batch_output", "fine-tune-results")

_OWN = {
    State.UPLOADED: "uploaded",
    State.PROCESSING: "processing",
    State.READY: "ready",
    State.FAILED: "failed",
    State.CANCELLED: "failed",
}
_OPENAI = {
    State.UPLOADED: "uploaded",
    State.PROCESSING: "uploaded",
    State.READY: "processed",
    State.FAILED: "error",
    State.CANCELLED: "error",
}
#: Of several places the one that says most about the file: what is still going on, then what went well.
_TELLING = (State.PROCESSING, State.UPLOADED, State.READY, State.FAILED, State.CANCELLED)


def seconds(moment: datetime | None) -> int | None:
    """Return a moment in Unix seconds, if there is one."""
    return None if moment is None else int(moment.timestamp())


def status_source(dataset_files: Iterable[DatasetFile]) -> DatasetFile | None:
    """Return the place whose state is the file's: where it was uploaded to, or the one that says most."""
    found = sorted(
        dataset_files,
        key=lambda dataset_file: (
            not dataset_file.digest,
            _TELLING.index(State(dataset_file.state)),
            dataset_file.pk,
        ),
    )
    return found[0] if found else None


def file_object(file: File, dataset_file: DatasetFile | None, *, own: bool) -> JSON:
    """Return a file, in our ``own`` words or in OpenAI's; ``place`` is the one whose state is told.

    A file in no dataset waits for nothing: it counts as processed.
    """
    state = State(dataset_file.state) if dataset_file else State.READY
    error = error_of(dataset_file) if dataset_file else None
    warning = (dataset_file.warning or None) if dataset_file else None
    return {
        "id": file.pk,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created_at.timestamp()),
        "expires_at": seconds(file.expires_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": (_OWN if own else _OPENAI)[state],
        "status_details": error["message"] if error else warning,
        "progress": dataset_file.progress if dataset_file else 100,
        "stage": (dataset_file.stage or None) if dataset_file else None,
        "error": error,
        "warning": warning,
        "dataset_id": dataset_file.dataset_id if dataset_file and not dataset_file.dataset.hidden else None,
    }


def error_of(dataset_file: DatasetFile) -> JSON | None:
    """Return why a file could not be processed: a code of a closed list, and a sentence."""
    if dataset_file.state == State.CANCELLED:
        return {"code": "cancelled", "message": "The processing of this file was cancelled."}
    if dataset_file.state != State.FAILED:
        return None
    return {
        "code": dataset_file.error_code or "processing_failed",
        "message": dataset_file.error_message or "The file could not be processed.",
    }
