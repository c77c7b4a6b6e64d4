"""How the state of a file in a dataset looks, on a page and in what a page asks for while something is in work."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe

from files.admin.metrics import WORKING
from files.models import DatasetFile

State, Stage = DatasetFile.State, DatasetFile.Stage

#: A word for each state, and the badge it is shown as.
WORDS: dict[str, tuple[str, str]] = {
    State.UPLOADED: ("waiting", "default"),
    State.PROCESSING: ("in work", "info"),
    State.READY: ("ready", "success"),
    State.FAILED: ("failed", "danger"),
    State.CANCELLED: ("cancelled", "default"),
}
#: What a worker does, stage by stage; recordings are transcribed in place of extracted.
STAGES: dict[str, str] = {
    Stage.EXTRACTING: "Extracting text",
    Stage.TRANSCRIBING: "Transcribing",
    Stage.CHUNKING: "Cutting into chunks",
    Stage.EMBEDDING: "Embedding",
    Stage.STORING: "Storing",
}


@dataclass(frozen=True, slots=True)
class Step:
    """A stage on the page of a file; ``mark`` is done, now, failed or ahead."""

    title: str
    mark: str


def is_working(dataset_file: DatasetFile) -> bool:
    return dataset_file.state in WORKING


def note(dataset_file: DatasetFile) -> str:
    """Return what a worker is doing with a file, or what it waits for."""
    if dataset_file.state != State.PROCESSING:
        return ""
    if dataset_file.retry_at and dataset_file.retry_at > timezone.now():
        return "to be tried again"
    if dataset_file.needs_ocr and dataset_file.lease is None:
        return "queued for OCR"
    return f"{STAGES.get(dataset_file.stage, 'Starting')} · {dataset_file.progress} %"


def key(dataset_file: DatasetFile) -> str:
    """Return what tells whether more than the figures of a file's progress has changed."""
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
    """Return the stages that a file goes through, and how far it is."""
    spoken = dataset_file.stage == Stage.TRANSCRIBING or dataset_file.file.content_type.startswith(
        ("audio/", "video/")
    )
    first = Stage.TRANSCRIBING if spoken else Stage.EXTRACTING
    order = [first, Stage.CHUNKING, Stage.EMBEDDING, Stage.STORING]
    if dataset_file.state == State.READY:
        at, mark = len(order), "done"
    else:
        at = order.index(Stage(dataset_file.stage)) if dataset_file.stage in order else -1
        at = 0 if at < 0 and dataset_file.state in (State.PROCESSING, State.FAILED) else at
        mark = {State.PROCESSING: "now", State.FAILED: "failed"}.get(State(dataset_file.state), "ahead")
    made = [Step("Stored", "done")]
    for number, stage in enumerate(order):
        made.append(Step(STAGES[stage], "done" if number < at else mark if number == at else "ahead"))
    made.append(Step("Ready", "done" if dataset_file.state == State.READY else "ahead"))
    return made


def cell(dataset_file: DatasetFile) -> SafeString:
    """Return a file's state as HTML: a badge, a bar while it is in work, the reason where it failed."""
    word, variant = WORDS[dataset_file.state]
    context = {
        "dataset_file": dataset_file, "word": word, "variant": variant, "note": note(dataset_file),
        "working": is_working(dataset_file), "key": key(dataset_file), "failed": dataset_file.state == State.FAILED,
    }  # fmt: skip
    return mark_safe(render_to_string("admin/files/state.html", context))  # noqa: S308 - a rendered template


def answer(dataset_files: Iterable[DatasetFile]) -> list[dict[str, Any]]:
    """Return what a page has to know of each file to bring itself up to date."""
    return [
        {
            "id": dataset_file.pk, "key": key(dataset_file), "working": is_working(dataset_file),
            "progress": dataset_file.progress, "note": note(dataset_file), "cell": cell(dataset_file),
        }
        for dataset_file in dataset_files
    ]  # fmt: skip
