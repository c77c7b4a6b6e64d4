"""Files in the admin: progress, chunks, download and reprocessing."""

import re
import secrets

import httpx
import pytest
from django.contrib.admin.utils import quote
from django.contrib.auth.models import User
from django.core.files.storage import default_storage

from files.models import DatasetFile, File
from tests import factories
from tests.admin.conftest import queries, said, text, url
from tests.browsing import Client

State = DatasetFile.State
# Rows that wait for a worker are rolled back: a worker of another test's would take them.


def listed(client: Client, world, **query) -> list[int]:
    response = client.get(
        url("files_datasetfile_changelist"), {"tenant__id__exact": world.tenant.pk, **query}
    )
    assert response.status_code == 200
    return [row.pk for row in response.context["cl"].result_list]


def page(client: Client, dataset_file: DatasetFile, **query):
    response = client.get(url("files_datasetfile_change", dataset_file.pk), query)
    assert response.status_code == 200
    return response


@pytest.mark.django_db
class TestList:
    def test_list_can_be_filtered(self, operator, world, dataset):
        other = factories.dataset(world.tenant, "other")
        ready = factories.dataset_file(dataset)
        failed = factories.dataset_file(dataset, state=State.FAILED)
        waiting = factories.dataset_file(other, state=State.UPLOADED)
        hidden = factories.dataset_file(factories.dataset(world.tenant, hidden=True), state=State.PROCESSING)
        assert listed(operator, world, state="failed") == [failed.pk]
        assert listed(operator, world, state="work") == [hidden.pk, waiting.pk]
        assert listed(operator, world, dataset=dataset.pk) == [failed.pk, ready.pk]
        assert listed(operator, world, dataset="conversations") == [hidden.pk]
        assert listed(operator, world, q=waiting.file_id) == [waiting.pk]

    @pytest.mark.parametrize("query", [{"state": "x"}, {"dataset": "'"}, {"dataset": "\0"}, {"q": "x"}])
    def test_invalid_parameters_are_ignored(self, operator, world, query):
        assert isinstance(listed(operator, world, **query), list)

    def test_more_files_cost_no_more_queries(self, operator, world, dataset):
        address = url("files_datasetfile_changelist", tenant__id__exact=world.tenant.pk)
        factories.dataset_file(dataset)
        operator.get(address)
        with queries() as few:
            operator.get(address)
        thread = factories.conversation(world.key)
        for number in range(10):
            into = factories.dataset(world.tenant, hidden=number % 2 == 0)
            file = factories.file(world.tenant, key=world.key.row if number % 3 else None)
            factories.dataset_file(into, file=file, state=State.FAILED if number % 2 else State.PROCESSING)
        thread.dataset = into
        with queries() as many:
            assert len(operator.get(address).context["cl"].result_list) == 11
        assert len(many) == len(few)


@pytest.mark.django_db
class TestPage:
    def test_page_shows_all_properties_of_a_file(self, operator, world, dataset):
        file = factories.file(
            world.tenant,
            key=world.key.row,
            filename="handbook.pdf",
            content_type="application/pdf",
            bytes=1_840_000,
        )
        dataset_file = factories.dataset_file(
            dataset, file=file, state=State.FAILED, stage="extracting", attempts=2, worker_deaths=1,
            error_code="encrypted_file", error_message="The file is encrypted.", attributes={"year": 2026},
        )  # fmt: skip
        page_text = text(page(operator, dataset_file))
        for words in (
            "handbook.pdf", "1.8 MB", "application/pdf", world.key.row.name, "handbook", world.tenant.name,
            file.pk, file.sha256[:16], "The file is encrypted.", "encrypted_file", "2 of 3", "1 of 10",
            "year: 2026", "/datasets/{id}/files", "No chunks: the file failed",
        ):  # fmt: skip
            assert words in page_text, words

    def test_page_shows_what_could_not_be_read(self, operator, dataset):
        assert "gt-notice-warning" not in page(operator, factories.dataset_file(dataset)).content.decode()
        dataset_file = factories.dataset_file(dataset, warning="3 pages were <b>not</b> read.")
        assert "3 pages were <b>not</b> read." in text(page(operator, dataset_file))
        assert "<b>not</b>" not in page(operator, dataset_file).content.decode()

    @pytest.mark.parametrize(
        ("fields", "now"),
        [
            ({"state": State.UPLOADED}, None),
            ({"state": State.PROCESSING, "stage": "extracting"}, "Extracting text"),
            ({"state": State.PROCESSING, "stage": "embedding"}, "Embedding"),
            ({"state": State.PROCESSING, "stage": ""}, "Extracting text"),
            ({"state": State.READY}, None),
        ],
    )
    def test_page_shows_the_current_stage(self, operator, dataset, fields, now):
        steps = page(operator, factories.dataset_file(dataset, **fields)).context["steps"]
        assert [step.title for step in steps if step.mark == "now"] == [now] * bool(now)
        assert (steps[-1].mark == "done") == (fields["state"] == State.READY)

    def test_recording_is_shown_as_transcribed(self, operator, world, dataset):
        file = factories.file(world.tenant, content_type="audio/mpeg", filename="talk.mp3")
        dataset_file = factories.dataset_file(
            dataset, file=file, state=State.PROCESSING, stage="transcribing"
        )
        assert "Transcribing" in [step.title for step in page(operator, dataset_file).context["steps"]]

    def test_chunks_are_paginated(self, operator, dataset):
        dataset_file = factories.dataset_file(dataset, chunk_count=45)
        for number in range(45):
            factories.chunk(dataset_file, f"Passage <i>{number}</i>.", page=number, heading=f"Part {number}")
        first = page(operator, dataset_file)
        assert "Passage <i>0</i>." in text(first)
        assert "Passage &lt;i&gt;0&lt;/i&gt;." in first.content.decode()
        assert "1 of 3" in text(first)
        last = text(page(operator, dataset_file, chunks=3))
        assert "Passage <i>44</i>." in last
        assert "page 44" in last
        assert "Part 44" in last
        assert page(operator, dataset_file, chunks="x'").status_code == 200

    def test_other_datasets_of_the_file_are_listed(self, operator, world, dataset):
        dataset_file = factories.dataset_file(dataset)
        factories.dataset_file(factories.dataset(world.tenant, "elsewhere"), file=dataset_file.file)
        assert "elsewhere" in text(page(operator, dataset_file))

    def test_conversation_file_links_to_its_conversation(self, operator, world):
        thread = factories.conversation(world.key)
        thread.dataset = factories.dataset(world.tenant, hidden=True)
        thread.save()
        dataset_file = factories.dataset_file(thread.dataset)
        response = page(operator, dataset_file)
        assert url("inference_conversation_change", thread.pk) in response.content.decode()
        assert operator.get(url("inference_conversation_change", thread.pk)).status_code == 200

    def test_file_is_read_only(self, operator, dataset):
        dataset_file = factories.dataset_file(dataset)
        assert (
            operator.post(url("files_datasetfile_change", dataset_file.pk), {"state": "failed"}).status_code
            == 403
        )
        assert operator.get(url("files_datasetfile_add")).status_code == 403


@pytest.mark.django_db
class TestProgress:
    def test_progress_covers_the_requested_files(self, operator, dataset):
        one = factories.dataset_file(dataset, state=State.PROCESSING, stage="embedding", progress=70)
        factories.dataset_file(dataset, state=State.PROCESSING)
        progress = operator.get(url("files_datasetfile_progress"), {"ids": f"{one.pk},x,'"}).json()
        assert progress["working"] == 1
        assert [(row["id"], row["progress"], row["note"]) for row in progress["dataset_files"]] == [
            (one.pk, 70, "Embedding · 70 %")
        ]

    @pytest.mark.parametrize("ids", ["", "x", "9" * 40, "\0", ","])
    def test_invalid_ids_match_nothing(self, operator, ids):
        progress = operator.get(url("files_datasetfile_progress"), {"ids": ids})
        assert progress.json() == {"working": 0, "dataset_files": []}

    def test_view_permission_is_required(self, staff, dataset):
        dataset_file = factories.dataset_file(dataset)
        address = url("files_datasetfile_progress", ids=dataset_file.pk)
        assert staff("files.view_dataset").get(address).status_code == 403
        assert staff("files.view_datasetfile").get(address).status_code == 200

    def test_query_count_is_independent_of_rows(self, operator, dataset):
        dataset_files = [factories.dataset_file(dataset, state=State.PROCESSING) for _ in range(20)]
        address = url("files_datasetfile_progress")
        operator.get(address, {"ids": dataset_files[0].pk})
        with queries() as few:
            operator.get(address, {"ids": dataset_files[0].pk})
        with queries() as many:
            operator.get(address, {"ids": ",".join(str(dataset_file.pk) for dataset_file in dataset_files)})
        assert len(many) == len(few)


class TestContent:
    @pytest.fixture
    def stored(self, dataset) -> DatasetFile:
        return factories.upload(dataset, b"<script>alert(1)</script>", filename="pa\u00e4ge.html")

    def test_content_is_served_as_an_attachment(self, operator, stored):
        answer = operator.get(url("files_datasetfile_content", stored.pk))
        assert b"".join(answer.streaming_content) == b"<script>alert(1)</script>"
        assert answer["content-type"] == "application/octet-stream"
        assert answer["content-disposition"].startswith("attachment; filename")
        assert answer["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer["content-security-policy"]

    def test_content_requires_the_permission_for_the_file(self, staff, stored):
        address = url("files_datasetfile_content", stored.pk)
        assert staff("files.view_datasetfile").get(address).status_code == 403
        assert staff("files.view_file").get(address).status_code == 403
        allowed = staff("files.view_datasetfile", "files.view_file").get(address)
        assert b"".join(allowed.streaming_content) == b"<script>alert(1)</script>"
        assert Client().get(address).status_code == 302

    def test_missing_bytes_are_reported(self, operator, dataset):
        dataset_file = factories.dataset_file(dataset)
        assert operator.get(url("files_datasetfile_content", dataset_file.pk)).status_code == 404

    def test_running_gateway_sends_the_whole_file(self, gateway, dataset):
        data = bytes(range(256)) * 4096
        dataset_file = factories.upload(dataset, data)
        name = User.objects.create_superuser(factories.unique("operator"), password="a password").username
        with httpx.Client(base_url=gateway.url, follow_redirects=True, timeout=30) as browser:
            browser.get("/admin/login/")
            token = browser.cookies["csrftoken"]
            log_in = {"username": name, "password": "a password", "csrfmiddlewaretoken": token}
            browser.post("/admin/login/", data={**log_in, "next": "/admin/"})
            answer = browser.get(url("files_datasetfile_content", dataset_file.pk))
        assert answer.content == data
        assert answer.headers["content-disposition"].startswith("attachment")


@pytest.mark.django_db
class TestAgain:
    def test_failed_file_is_queued_again(self, operator, dataset):
        requested_by = factories.key(dataset.tenant).row
        dataset_file = factories.dataset_file(
            dataset, state=State.FAILED, error_code="no_text", attempts=1, requested_by=requested_by
        )
        assert f"Booked to {requested_by.name}" in text(page(operator, dataset_file))
        address = url("files_datasetfile_again_page", dataset_file.pk)
        assert "Searches do not find it" in text(operator.get(address))
        response = operator.post(address, {"confirm": "yes"}, follow=True)
        assert said(response) == ["1 file to be processed again."]
        dataset_file.refresh_from_db()
        assert (dataset_file.state, dataset_file.error_code, dataset_file.attempts) == (State.UPLOADED, "", 0)
        assert dataset_file.requested_by is None
        assert "Processed it again." in text(operator.get(url("files_datasetfile_history", dataset_file.pk)))

    def test_file_being_processed_is_not_changed(self, operator, dataset):
        dataset_file = factories.dataset_file(dataset, state=State.PROCESSING, progress=40)
        address = url("files_datasetfile_again_page", dataset_file.pk)
        assert (
            url("files_datasetfile_again_page", dataset_file.pk)
            not in page(operator, dataset_file).content.decode()
        )
        response = operator.post(address, {"confirm": "yes"}, follow=True)
        assert "already waiting or processing" in said(response)[0]
        dataset_file.refresh_from_db()
        assert (dataset_file.state, dataset_file.progress) == (State.PROCESSING, 40)

    def test_bulk_reprocessing_shows_a_count(self, operator, dataset):
        dataset_files = [
            factories.dataset_file(dataset, state=state)
            for state in (State.FAILED, State.READY, State.CANCELLED, State.PROCESSING)
        ]
        data = {
            "action": "process_selected",
            "_selected_action": [dataset_file.pk for dataset_file in dataset_files],
        }
        confirmation = operator.post(url("files_datasetfile_changelist"), data)
        assert "Process 3 files again" in text(confirmation)
        done = operator.post(url("files_datasetfile_changelist"), {**data, "confirm": "yes"}, follow=True)
        assert said(done) == ["3 files to be processed again. 1 was already waiting or processing."]
        states = [DatasetFile.objects.get(pk=dataset_file.pk).state for dataset_file in dataset_files]
        assert states == [State.UPLOADED] * 3 + [State.PROCESSING]

    def test_change_permission_is_required(self, staff, dataset):
        dataset_file = factories.dataset_file(dataset, state=State.FAILED)
        address = url("files_datasetfile_again_page", dataset_file.pk)
        assert staff("files.view_datasetfile").post(address).status_code == 403
        data = {"action": "process_selected", "_selected_action": [dataset_file.pk], "confirm": "yes"}
        staff("files.view_datasetfile").post(url("files_datasetfile_changelist"), data)
        dataset_file.refresh_from_db()
        assert dataset_file.state == State.FAILED
        allowed = staff("files.view_datasetfile", "files.change_datasetfile")
        assert allowed.post(address, {"confirm": "yes"}).status_code == 302
        dataset_file.refresh_from_db()
        assert dataset_file.state == State.UPLOADED


class TestDelete:
    def test_file_uploaded_into_the_dataset_is_deleted_with_its_bytes(self, operator, dataset):
        dataset_file = factories.upload(dataset, b"Some words.")
        operator.post(url("files_datasetfile_delete", dataset_file.pk), {"post": "yes"})
        assert not File.objects.filter(pk=dataset_file.file_id).exists()
        assert not default_storage.exists(dataset_file.file.path)

    def test_file_in_another_dataset_stays(self, operator, world, dataset):
        dataset_file = factories.upload(dataset, b"Some words.")
        other = factories.dataset_file(factories.dataset(world.tenant), file=dataset_file.file)
        data = {"action": "delete_selected", "_selected_action": [dataset_file.pk], "post": "yes"}
        operator.post(url("files_datasetfile_changelist"), data)
        assert not DatasetFile.objects.filter(pk=dataset_file.pk).exists()
        assert DatasetFile.objects.filter(pk=other.pk).exists()
        assert default_storage.exists(dataset_file.file.path)

    def test_delete_permission_is_required(self, staff, dataset):
        dataset_file = factories.dataset_file(dataset)
        client = staff("files.view_datasetfile", "files.change_datasetfile")
        address = url("files_datasetfile_delete", dataset_file.pk)
        assert client.post(address, {"post": "yes"}).status_code == 403


def test_global_search_finds_files_and_datasets(operator, dataset):
    dataset_file = factories.dataset_file(dataset, filename=factories.unique("quarterly"))
    page_text = operator.get(
        url("search"), {"s": dataset_file.file.filename, "extended": "1"}
    ).content.decode()
    assert url("files_datasetfile_change", dataset_file.pk) in page_text
    page_text = operator.get(url("search"), {"s": dataset.pk, "extended": "1"}).content.decode()
    (link,) = set(re.findall(r"/admin/files/dataset/[^/]+/change/", page_text))
    assert operator.get(link).status_code == 200


@pytest.mark.parametrize("start", ["ds_25", "ds_40", "ds_5f"])
def test_id_that_looks_escaped_is_found_by_every_link(operator, world, start):
    made = factories.dataset(world.tenant, id=f"{start}{secrets.token_hex(14)}")
    for written in (made.pk, quote(made.pk)):
        answer = operator.get(f"/admin/files/dataset/{written}/progress/")
        assert answer.status_code == 200
