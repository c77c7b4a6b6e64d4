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


def is_working(place: DatasetFile) -> bool:
    return place.state in WORKING


def note(place: DatasetFile) -> str:
    """Return what a worker is doing with a file, or what it waits for."""
    if place.state != State.PROCESSING:
        return ""
    if place.retry_at and place.retry_at > timezone.now():
        return "to be tried again"
    if place.needs_ocr and place.lease is None:
        return "waits for its turn among scans"
    return f"{STAGES.get(place.stage, 'Starting')} · {place.progress} %"


def key(place: DatasetFile) -> str:
    """Return what tells whether more than the figures of a file's progress has changed."""
    return ":".join(
        str(part)
        for part in (place.state, place.stage, place.attempts, place.worker_deaths, place.chunk_count)
    )


def steps(place: DatasetFile) -> list[Step]:
    """Return the stages that a file goes through, and how far it is."""
    spoken = place.stage == Stage.TRANSCRIBING or place.file.content_type.startswith(("audio/", "video/"))
    first = Stage.TRANSCRIBING if spoken else Stage.EXTRACTING
    order = [first, Stage.CHUNKING, Stage.EMBEDDING, Stage.STORING]
    if place.state == State.READY:
        at, mark = len(order), "done"
    else:
        at = order.index(Stage(place.stage)) if place.stage in order else -1
        at = 0 if at < 0 and place.state in (State.PROCESSING, State.FAILED) else at
        mark = {State.PROCESSING: "now", State.FAILED: "failed"}.get(State(place.state), "ahead")
    made = [Step("Stored", "done")]
    for number, stage in enumerate(order):
        made.append(Step(STAGES[stage], "done" if number < at else mark if number == at else "ahead"))
    made.append(Step("Ready", "done" if place.state == State.READY else "ahead"))
    return made


def cell(place: DatasetFile) -> SafeString:
    """Return a file's state as HTML: a badge, a bar while it is in work, the reason where it failed."""
    word, variant = WORDS[place.state]
    context = {
        "place": place, "word": word, "variant": variant, "note": note(place),
        "working": is_working(place), "key": key(place), "failed": place.state == State.FAILED,
    }  # fmt: skip
    return mark_safe(render_to_string("admin/files/state.html", context))  # noqa: S308 - a rendered template


def answer(places: Iterable[DatasetFile]) -> list[dict[str, Any]]:
    """Return what a page has to know of each file to bring itself up to date."""
    return [
        {
            "id": place.pk, "key": key(place), "working": is_working(place), "progress": place.progress,
            "note": note(place), "cell": cell(place),
        }
        for place in places
    ]  # fmt: skip
