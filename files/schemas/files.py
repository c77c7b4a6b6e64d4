"""JSON schema of files, with our statuses or OpenAI's.

Files uploaded by our own routes are ``uploaded``, ``processing``, ``ready`` or ``failed``; OpenAI's clients expect
``uploaded``, ``processed`` or ``error``. Our additional keys are the same in both.
"""

from collections.abc import Iterable
from datetime import datetime

from files.models import DatasetFile, File
from gtapi.json_types import JSON

State = DatasetFile.State

#: Purposes that a client may upload a file for.
PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data")
#: Purposes that OpenAI's clients can filter by; some are only set by OpenAI itself.
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
#: The state shown for a file in several datasets: processing comes first, then success.
_STATE_PRIORITY = (State.PROCESSING, State.UPLOADED, State.READY, State.FAILED, State.CANCELLED)


def seconds(moment: datetime | None) -> int | None:
    """Return a time in Unix seconds, if there is one."""
    return None if moment is None else int(moment.timestamp())


def status_source(dataset_files: Iterable[DatasetFile]) -> DatasetFile | None:
    """Return the dataset file whose state is shown: the one it was uploaded to, or by ``_STATE_PRIORITY``."""
    ranked = sorted(
        dataset_files,
        key=lambda dataset_file: (
            not dataset_file.digest,
            _STATE_PRIORITY.index(State(dataset_file.state)),
            dataset_file.pk,
        ),
    )
    return ranked[0] if ranked else None


def file_object(file: File, dataset_file: DatasetFile | None, *, own: bool) -> JSON:
    """Return the JSON object of a file, with the state of ``dataset_file``.

    ``own`` selects our statuses or OpenAI's. A file in no dataset counts as processed.
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
    """Return why a file could not be processed: a code from a closed list, and a message."""
    if dataset_file.state == State.CANCELLED:
        return {"code": "cancelled", "message": "The processing of this file was cancelled."}
    if dataset_file.state != State.FAILED:
        return None
    return {
        "code": dataset_file.error_code or "processing_failed",
        "message": dataset_file.error_message or "The file could not be processed.",
    }
