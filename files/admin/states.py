"""Display of a dataset file's state in the admin, on a page and in its progress updates."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe

from files.admin.metrics import WORKING
from files.models import DatasetFile

State, Stage = DatasetFile.State, DatasetFile.Stage

#: Label and badge variant of each state.
LABELS: dict[str, tuple[str, str]] = {
    State.UPLOADED: ("waiting", "default"),
    State.PROCESSING: ("processing", "info"),
    State.READY: ("ready", "success"),
    State.FAILED: ("failed", "danger"),
    State.CANCELLED: ("cancelled", "default"),
}
#: Labels of the stages of processing. Recordings are transcribed instead of extracted.
STAGES: dict[str, str] = {
    Stage.EXTRACTING: "Extracting text",
    Stage.TRANSCRIBING: "Transcribing",
    Stage.CHUNKING: "Chunking",
    Stage.EMBEDDING: "Embedding",
    Stage.STORING: "Storing",
}


@dataclass(frozen=True, slots=True)
class Step:
    """A stage on the page of a file; ``mark`` is ``done``, ``now``, ``failed`` or ``ahead``."""

    title: str
    mark: str


def is_working(dataset_file: DatasetFile) -> bool:
    return dataset_file.state in WORKING


def note(dataset_file: DatasetFile) -> str:
    """Return what a worker is doing with a file, or what the file waits for."""
    if dataset_file.state != State.PROCESSING:
        return ""
    if dataset_file.retry_at and dataset_file.retry_at > timezone.now():
        return "waiting for a retry"
    if dataset_file.needs_ocr and dataset_file.lease is None:
        return "queued for OCR"
    return f"{STAGES.get(dataset_file.stage, 'Starting')} · {dataset_file.progress} %"


def key(dataset_file: DatasetFile) -> str:
    """Return a key that changes when more than the progress of a file has changed."""
    return ":".join(
        str(part)
        for part in (
            dataset_file.state,
            dataset_file.stage,
            dataset_file.attempts,
            dataset_file.worker_deaths,
            dataset_file.chunk_count,
        )
    )


def steps(dataset_file: DatasetFile) -> list[Step]:
    """Return the stages of a file's processing, each with its mark."""
    is_recording = dataset_file.stage == Stage.TRANSCRIBING or dataset_file.file.content_type.startswith(
        ("audio/", "video/")
    )
    first = Stage.TRANSCRIBING if is_recording else Stage.EXTRACTING
    order = [first, Stage.CHUNKING, Stage.EMBEDDING, Stage.STORING]
    if dataset_file.state == State.READY:
        at, mark = len(order), "done"
    else:
        at = order.index(Stage(dataset_file.stage)) if dataset_file.stage in order else -1
        at = 0 if at < 0 and dataset_file.state in (State.PROCESSING, State.FAILED) else at
        mark = {State.PROCESSING: "now", State.FAILED: "failed"}.get(State(dataset_file.state), "ahead")
    result = [Step("Stored", "done")]
    for number, stage in enumerate(order):
        result.append(Step(STAGES[stage], "done" if number < at else mark if number == at else "ahead"))
    result.append(Step("Ready", "done" if dataset_file.state == State.READY else "ahead"))
    return result


def cell(dataset_file: DatasetFile) -> SafeString:
    """Return a file's state as HTML: a badge, with a progress bar while it is processed or the error."""
    label, variant = LABELS[dataset_file.state]
    context = {
        "dataset_file": dataset_file, "label": label, "variant": variant, "note": note(dataset_file),
        "working": is_working(dataset_file), "key": key(dataset_file), "failed": dataset_file.state == State.FAILED,
    }  # fmt: skip
    return mark_safe(render_to_string("admin/files/state.html", context))  # noqa: S308 - a rendered template


def updates(dataset_files: Iterable[DatasetFile]) -> list[dict[str, Any]]:
    """Return the data with which a page updates the state of each file."""
    return [
        {
            "id": dataset_file.pk, "key": key(dataset_file), "working": is_working(dataset_file),
            "progress": dataset_file.progress, "note": note(dataset_file), "cell": cell(dataset_file),
        }
        for dataset_file in dataset_files
    ]  # fmt: skip
