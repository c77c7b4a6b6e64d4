"""Uploads into datasets through the product's own routes."""

import json
import time
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings
from django.utils import timezone

from files.models import DatasetFile, File
from tests import factories
from tests.wire import PLAIN, envelope

TEXT = b"The office opens at nine."
SOON = 60


def found(file_id, **fields):
    """Sets a file to a state in which no worker processes or claims it."""
    busy = fields.get("state") == "processing"
    until = timezone.now() + timedelta(hours=1)
    lease = {"lease": uuid4(), "lease_until": until} if busy else {"lease": None, "lease_until": None}
    DatasetFile.objects.filter(file=file_id).update(retry_at=until, **lease, **fields)


@pytest.fixture
def dataset(world):
    return factories.dataset(world.tenant, keys=[world.key.row])


@pytest.fixture
def upload(http, dataset):
    def send(data=TEXT, name="notes.txt", into=None, client=http):
        return client.post(f"/datasets/{(into or dataset).pk}/files", files={"file": (name, data)})

    return send


def test_upload_becomes_ready(http, upload, dataset, ingest):
    file = upload().json()
    assert file["status"] in ("uploaded", "processing", "ready")
    assert file["dataset_id"] == dataset.pk
    deadline = time.monotonic() + SOON
    seen = [file]
    while seen[-1]["status"] not in ("ready", "failed"):
        assert time.monotonic() < deadline, seen[-1]
        seen.append(http.get(f"/files/{file['id']}").json())
    assert seen[-1] == {**file, "status": "ready", "progress": 100, "stage": None}
    progress = [messages["progress"] for messages in seen]
    assert progress == sorted(progress)
    assert http.get(f"/datasets/{dataset.pk}/files").json()["data"] == [{**seen[-1], "status": "processed"}]
    assert http.get(f"/datasets/{dataset.pk}/files/{file['id']}").json() == seen[-1]


@pytest.mark.parametrize(
    ("fields", "own", "openai"),
    [
        ({"state": "uploaded"}, "uploaded", "uploaded"),
        ({"state": "processing", "stage": "embedding", "progress": 40}, "processing", "uploaded"),
        ({"state": "ready", "progress": 100}, "ready", "processed"),
        (
            {"state": "failed", "error_code": "empty_file", "error_message": "There is no text."},
            "failed",
            "error",
        ),
        ({"state": "cancelled"}, "failed", "error"),
    ],
)
def test_each_state_is_reported_on_both_routes(http, world, dataset, fields, own, openai):
    dataset_file = factories.dataset_file(dataset, progress=0)
    found(dataset_file.file_id, **{"progress": 0, **fields})
    one, listed = http.get(f"/files/{dataset_file.file_id}").json(), http.get("/files").json()["data"]
    assert one["status"] == own
    assert listed == [{**one, "status": openai}]
    assert one["stage"] == (fields.get("stage") or None)
    assert one["progress"] == fields.get("progress", 0)
    if own == "failed":
        assert one["error"]["code"] == fields.get("error_code", "cancelled")
        assert one["status_details"] == one["error"]["message"]
    else:
        assert (one["error"], one["status_details"]) == (None, None)
    assert one["warning"] is None


def test_openai_file_reports_its_status_in_a_dataset(client, http, world, dataset):
    file = client.files.create(file=("notes.txt", TEXT), purpose="assistants")
    factories.dataset_file(dataset, file=File.objects.get(pk=file.id))
    found(file.id, state="processing", progress=10)
    assert client.files.retrieve(file.id).status == "uploaded"
    assert http.get(f"/datasets/{dataset.pk}/files/{file.id}").json()["status"] == "processing"
    found(file.id, state="failed", error_code="x", error_message="No.")
    failed = client.files.retrieve(file.id)
    assert (failed.status, failed.status_details) == ("error", "No.")
    found(file.id, state="ready")
    assert client.files.wait_for_processing(file.id).status == "processed"


def test_same_content_returns_the_existing_file(upload, dataset):
    file = upload().json()
    found(file["id"], state="ready", progress=100, stage="")
    again = upload(name="other-name.txt")
    assert again.status_code == 200
    assert again.json() == {**file, "status": "ready", "progress": 100, "stage": None}
    assert dataset.dataset_files.count() == 1
    assert upload(TEXT + b" Always.").json()["id"] != file["id"]


def test_content_of_an_attached_file_returns_the_existing_file(client, http, upload, dataset):
    attached, second = (client.files.create(file=("notes.txt", TEXT), purpose="assistants") for _ in range(2))
    for file in (attached, second):
        # OpenAI's clients follow the id that they attached, so each has a separate dataset file.
        assert client.vector_stores.files.create(dataset.pk, file_id=file.id).id == file.id
    found(attached.id, state="ready", progress=100)
    again = upload().json()
    assert (again["id"], again["status"], again["dataset_id"]) == (attached.id, "ready", dataset.pk)
    assert http.get(f"/datasets/{dataset.pk}/files/{attached.id}").json() == again
    assert dataset.dataset_files.count() == 2
    assert upload(TEXT + b" Always.").json()["id"] not in (attached.id, second.id)


def test_upload_does_not_reuse_a_file_that_another_key_may_delete(upload, http, gateway, dataset, world):
    others = factories.key(world.tenant)
    for key in (others.row, None):
        file = factories.file(
            world.tenant, origin=File.Origin.FILES, key=key, sha256=sha256(TEXT).hexdigest()
        )
        factories.dataset_file(dataset, file=file)
    stored_file = upload().json()["id"]
    assert dataset.dataset_files.count() == 3
    headers = {"authorization": f"Bearer {others.plain}"}
    for dataset_file in dataset.dataset_files.exclude(file=stored_file).exclude(file__key=None):
        PLAIN.delete(f"{gateway.base_url}/files/{dataset_file.file_id}", headers=headers).raise_for_status()
    assert upload().json()["id"] == stored_file
    assert http.get(f"/files/{stored_file}/content").content == TEXT


def test_upload_does_not_reuse_an_attached_file_that_is_not_ready(client, upload, dataset):
    attached = client.files.create(file=("notes.txt", TEXT), purpose="assistants")
    client.vector_stores.files.create(dataset.pk, file_id=attached.id)
    assert upload().json()["id"] != attached.id


def test_same_content_in_another_dataset_is_a_new_file(upload, world):
    other = factories.dataset(world.tenant, keys=[world.key.row])
    assert upload().json()["id"] != upload(into=other).json()["id"]


def test_same_content_is_reprocessed_after_a_failure(upload):
    file = upload().json()
    found(file["id"], state="failed", error_code="worker_lost", progress=30)
    again = upload().json()
    assert (again["id"], again["status"], again["error"], again["progress"]) == (
        file["id"], "uploaded", None, 0,
    )  # fmt: skip


def test_duplicate_upload_leaves_no_bytes(upload, world):
    upload()

    def stored():
        return {path for path in Path(settings.MEDIA_ROOT, "files").rglob("*") if path.is_file()}

    before = stored()
    upload()
    assert stored() == before


def test_every_key_with_a_grant_sees_a_datasets_files(upload, dataset, world, gateway):
    file = upload().json()
    granted, other = factories.key(world.tenant), factories.key(world.tenant)
    dataset.grants.create(key=granted.row)
    for key, status in ((granted, 200), (other, 404)):
        headers = {"authorization": f"Bearer {key.plain}"}
        for path in (f"/files/{file['id']}", f"/files/{file['id']}/content", f"/datasets/{dataset.pk}/files"):
            assert PLAIN.get(gateway.base_url + path, headers=headers).status_code == status
    dataset.grants.all().delete()
    headers = world.authorization
    envelope(PLAIN.get(f"{gateway.base_url}/files/{file['id']}", headers=headers), 404, "file_not_found")


def test_ungranted_dataset_is_404(http, world, upstream, dataset):
    theirs = factories.dataset(factories.world(upstream.base_url).tenant)
    others = factories.dataset(world.tenant)
    hidden = factories.dataset(world.tenant, keys=[world.key.row], hidden=True)
    placed = {row.pk: factories.dataset_file(row).file_id for row in (theirs, others, hidden)}
    messages = set()
    for dataset_id, file_id in [*placed.items(), ("ds_none", "file-none"), ("a%00b", "file-none")]:
        for method, path in (
            ("POST", ""), ("GET", ""), ("GET", f"/{file_id}"), ("DELETE", f"/{file_id}"),
        ):  # fmt: skip
            more = {"files": {"file": ("a.txt", TEXT)}} if method == "POST" else {}
            answer = http.request(method, f"/datasets/{dataset_id}/files{path}", **more)
            message = envelope(answer, 404, "dataset_not_found")["message"]
            messages.add(message.replace(dataset_id.replace("%00", "\0"), "X"))
    assert len(messages) == 1
    for file_id in placed.values():
        envelope(http.get(f"/files/{file_id}"), 404, "file_not_found")


def test_file_of_another_dataset_is_404(http, world, dataset):
    other = factories.dataset_file(factories.dataset(world.tenant, keys=[world.key.row]))
    for method in ("GET", "DELETE"):
        answer = http.request(method, f"/datasets/{dataset.pk}/files/{other.file_id}")
        envelope(answer, 404, "file_not_found")
    envelope(http.get(f"/datasets/{dataset.pk}/files/a%00b"), 404, "file_not_found")
    assert File.objects.filter(pk=other.file_id).exists()


def test_file_uploaded_into_a_dataset_is_deleted_on_detach(http, upload, dataset):
    file = upload().json()
    deleted = http.delete(f"/datasets/{dataset.pk}/files/{file['id']}")
    assert deleted.json() == {"id": file["id"], "object": "file", "deleted": True}
    envelope(http.get(f"/files/{file['id']}"), 404, "file_not_found")
    assert not File.objects.filter(pk=file["id"]).exists()


def test_attached_file_stays_after_detach(client, http, dataset):
    file = client.files.create(file=("notes.txt", TEXT), purpose="assistants")
    factories.dataset_file(dataset, file=File.objects.get(pk=file.id))
    http.delete(f"/datasets/{dataset.pk}/files/{file.id}")
    assert client.files.retrieve(file.id).id == file.id
    assert dataset.dataset_files.count() == 0


def test_only_its_key_deletes_an_attached_file(client, world, gateway, dataset):
    file = client.files.create(file=("notes.txt", TEXT), purpose="assistants")
    factories.dataset_file(dataset, file=File.objects.get(pk=file.id))
    granted = factories.key(world.tenant)
    dataset.grants.create(key=granted.row)
    address, headers = f"{gateway.base_url}/files/{file.id}", {"authorization": f"Bearer {granted.plain}"}
    assert PLAIN.get(address, headers=headers).status_code == 200
    envelope(PLAIN.delete(address, headers=headers), 403, "file_of_another_key")
    client.files.delete(file.id)
    assert dataset.dataset_files.count() == 0


def test_datasets_of_other_keys_are_not_disclosed(client, http, world, dataset):
    stored_file = client.files.create(file=("notes.txt", TEXT), purpose="assistants").id
    file = File.objects.get(pk=stored_file)
    factories.dataset_file(
        factories.dataset(world.tenant), file=file, state="failed", error_message="A secret."
    )
    shown = lambda: [http.get(f"/files/{stored_file}").json(), *http.get("/files").json()["data"]]  # noqa: E731
    assert [(one["dataset_id"], one["status"], one["error"]) for one in shown()] == [
        (None, "processed", None)
    ] * 2
    factories.dataset_file(dataset, file=file)
    assert [(one["dataset_id"], one["status"]) for one in shown()] == [(dataset.pk, "processed")] * 2


def test_key_with_all_datasets_of_a_file_deletes_it(http, upload, world, gateway, dataset):
    file = upload().json()
    other = factories.dataset(world.tenant)
    dataset_file = factories.dataset_file(other, file=File.objects.get(pk=file["id"]))
    envelope(http.delete(f"/files/{file['id']}"), 403, "file_of_another_key")
    dataset_file.delete()
    assert http.delete(f"/files/{file['id']}").json()["deleted"]


def test_deleted_dataset_deletes_its_files(http, upload, dataset, client):
    file = upload().json()
    stored_file = client.files.create(file=("notes.txt", TEXT), purpose="assistants")
    factories.dataset_file(dataset, file=File.objects.get(pk=stored_file.id))
    assert http.delete(f"/datasets/{dataset.pk}").status_code == 200
    envelope(http.get(f"/files/{file['id']}"), 404, "file_not_found")
    assert client.files.retrieve(stored_file.id).status == "processed"


def test_list_is_paginated(http, upload, dataset):
    stored_file = [upload(TEXT + bytes([n])).json()["id"] for n in range(3)]
    page = http.get(f"/datasets/{dataset.pk}/files", params={"limit": 2}).json()
    assert ([file["id"] for file in page["data"]], page["has_more"]) == (stored_file[:0:-1], True)
    rest = http.get(f"/datasets/{dataset.pk}/files", params={"after": page["last_id"]}).json()
    assert ([file["id"] for file in rest["data"]], rest["has_more"]) == (stored_file[:1], False)


def test_upload_accepts_attributes_and_chunking(http, dataset):
    static = {"type": "static", "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 20}}
    data = {
        "attributes": json.dumps({"language": "en", "year": 2026}),
        "chunking_strategy": json.dumps(static),
    }
    file = http.post(f"/datasets/{dataset.pk}/files", data=data, files={"file": ("a.txt", TEXT)}).json()
    dataset_file = dataset.dataset_files.get(file=file["id"])
    assert (dataset_file.attributes, dataset_file.chunking) == ({"language": "en", "year": 2026}, static)
    stored = http.get(f"/vector_stores/{dataset.pk}/files/{file['id']}").json()
    assert stored["attributes"] == {"language": "en", "year": 2026}


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("attributes", "{"),
        ("attributes", "[]"),
        ("attributes", '{"a": null}'),
        ("attributes", '{"a": "\\u0000"}'),
        pytest.param("attributes", '{"a": ' + 200 * "[" + 200 * "]" + "}", id="nested"),
        pytest.param("attributes", json.dumps({"a": "b" * 65_536}), id="long"),
        ("attributes", '{"\\u0000": "a"}'),
        ("attributes", json.dumps({str(n): n for n in range(17)})),
        ("chunking_strategy", "5"),
        ("chunking_strategy", '{"type": "dynamic"}'),
    ],
)
def test_invalid_attributes_and_chunking_are_refused(http, dataset, field, text):
    answer = http.post(f"/datasets/{dataset.pk}/files", data={field: text}, files={"file": ("a.txt", TEXT)})
    assert envelope(answer, 400)["param"].startswith(field)
    assert dataset.dataset_files.count() == 0
