"""The check of uploads: a file is uploaded, polled until it is ready, and taken away again."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from files.models import Dataset
from inference.runbooks.check_client import CheckClient, CheckFailed, CheckSkipped
from tenants.scopes import expand

#: Seconds in which a file of one line has to be ready; others may be before it.
PATIENCE = 120.0
BETWEEN_POLLS = 0.5
FILENAME = "runbook-check.txt"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where to upload to, and what takes everything away again; ``{id}`` is the file's id."""

    upload: str
    cleanup: str
    headers: dict[str, str] = field(default_factory=dict)


def upload_becomes_ready(client: CheckClient) -> str:
    """A file that is uploaded becomes ready."""
    scopes = expand(client.key.scopes)
    if "files:write" not in scopes:
        raise CheckSkipped("the key may not upload: it lacks the scope files:write")
    place = _place(client, scopes)
    if place is None:
        raise CheckSkipped("no dataset is granted to the key, and it may make neither one nor a conversation")
    # No two uploads are the same, else the answer would be the file that is there.
    content = f"A file to see that uploads work. Its number is {secrets.token_hex(8)}.\n"
    with _cleared(client, place) as uploaded:
        files = {"file": (FILENAME, content.encode(), "text/plain")}
        sent = client.call("POST", place.upload, files=files, headers=place.headers)
        uploaded.append(_said(sent.json(), "id"))
        seconds = _wait(client, uploaded[0])
    return f"a file was ready after {seconds:.0f} s, by POST {place.upload.removeprefix('/v1')}"


def _place(client: CheckClient, scopes: frozenset[str]) -> _Place | None:
    """Return a place of the check's own where the key may make one, else a dataset that is granted to it."""
    if "datasets:write" in scopes:
        name = f"runbook-check-{secrets.token_hex(4)}"
        made = _said(client.call("POST", "/v1/datasets", json={"name": name}).json(), "id")
        return _Place(f"/v1/datasets/{made}/files", f"/v1/datasets/{made}")
    dataset = Dataset.objects.granted_to(client.key.pk).filter(tenant=client.tenant).first()
    if dataset is not None:
        return _Place(f"/v1/datasets/{dataset.pk}/files", f"/v1/datasets/{dataset.pk}/files/{{id}}")
    if "conversations:write" in scopes:
        made = _said(client.call("POST", "/v1/conversations").json(), "id")
        return _Place("/v1/conversations/files", f"/v1/conversations/{made}", {"X-GT-Conversation-Id": made})
    return None


@contextmanager
def _cleared(client: CheckClient, place: _Place) -> Iterator[list[str]]:
    """Take away what the check has made; yields a list for the file's id. What did not hold counts first."""
    uploaded: list[str] = []
    try:
        yield uploaded
    except CheckFailed:
        _clear(client, place, uploaded)
        raise
    if problem := _clear(client, place, uploaded):
        raise CheckFailed(problem)


def _clear(client: CheckClient, place: _Place, uploaded: list[str]) -> str:
    """Clean up, and return what is wrong with that."""
    if "{id}" in place.cleanup and not uploaded:
        return ""
    try:
        client.call("DELETE", place.cleanup.format(id="".join(uploaded)))
    except CheckFailed as problem:
        return f"what the check made is still there: {problem}"
    return ""


def _wait(client: CheckClient, file_id: str) -> float:
    """Poll a file until it is ready; returns the seconds that it took."""
    started, pause = monotonic(), threading.Event()
    while True:
        file = client.call("GET", f"/v1/files/{file_id}").json()
        status, took = _said(file, "status"), monotonic() - started
        if status == "ready":
            return took
        if status not in ("uploaded", "processing"):
            raise CheckFailed(f"GET /v1/files/{file_id}: {status}: {file.get('status_details')}")
        if took > PATIENCE:
            raise CheckFailed(f"GET /v1/files/{file_id}: still {status} after {took:.0f} s; does Ingest run?")
        pause.wait(BETWEEN_POLLS)


def _said(answer: object, name: str) -> str:
    said = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(said, str):
        raise CheckFailed(f"an answer has no {name}")
    return said
