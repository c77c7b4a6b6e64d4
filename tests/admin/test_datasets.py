"""Datasets in the admin: contents, uploads, progress and trial search."""

from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from files.models import ChunkVector, Dataset, DatasetFile, File
from tests import answers, factories
from tests.admin.conftest import fields, queries, said, text, url
from tests.browsing import Client
from tests.files import fake_embedder
from tests.upstream import Wire

State = DatasetFile.State
#: Rows that wait for a worker are rolled back: a worker of another test's would take them.
pytestmark = pytest.mark.usefixtures("media")


@pytest.fixture
def media(settings, tmp_path):
    """A temporary storage folder for this process."""
    settings.MEDIA_ROOT = str(tmp_path)
    return tmp_path


def page(client: Client, dataset: Dataset):
    response = client.get(url("files_dataset_change", dataset.pk))
    assert response.status_code == 200
    return response


def send(client: Client, dataset: Dataset, *files: SimpleUploadedFile, **headers):
    headers = {"accept": "application/json", **headers}
    return client.post(url("files_dataset_upload", dataset.pk), {"files": list(files)}, headers=headers)


def notes(content: bytes = b"The office opens at nine.", name: str = "notes.txt") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, "text/plain")


@pytest.mark.django_db
class TestList:
    def test_list_shows_the_contents_of_each_dataset(self, operator, world, dataset):
        other = factories.dataset(world.tenant, "recordings", embedding="gone")
        file = factories.file(world.tenant, bytes=1_400_000)
        factories.dataset_file(dataset, file=file, chunk_count=3)
        factories.dataset_file(dataset, state=State.FAILED)
        factories.dataset_file(dataset, state=State.PROCESSING)
        factories.dataset_file(dataset, state=State.UPLOADED)
        page_text = text(operator.get(url("files_dataset_changelist", tenant__id__exact=world.tenant.pk)))
        for words in ("1 ready", "2 processing", "1 failed", "1.4 MB", "full-text search only"):
            assert words in page_text
        Dataset.objects.filter(pk=other.pk).update(embedding="new")
        assert "re-indexing" in text(operator.get(url("files_dataset_changelist"), {"q": other.pk}))
        Dataset.objects.filter(pk=other.pk).update(index_error="main: no such model")
        assert "index failed" in text(operator.get(url("files_dataset_changelist"), {"q": other.pk}))

    def test_more_datasets_and_files_cost_no_more_queries(self, operator, world, dataset):
        address = url("files_dataset_changelist", tenant__id__exact=world.tenant.pk)
        factories.dataset_file(dataset)
        operator.get(address)
        with queries() as few:
            operator.get(address)
        for number in range(5):
            other = factories.dataset(world.tenant, f"more-{number}", keys=[world.key.row])
            for _ in range(3):
                factories.dataset_file(other)
        with queries() as many:
            response = operator.get(address)
        assert len(response.context["cl"].result_list) == 6
        assert len(many) == len(few)

    def test_conversation_datasets_are_not_listed(self, operator, world):
        hidden = factories.dataset(world.tenant, hidden=True)
        assert hidden.name not in text(operator.get(url("files_dataset_changelist"), {"q": hidden.name}))
        assert operator.get(url("files_dataset_change", hidden.pk)).status_code == 302
        form = operator.get(url("tenants_inferencekey_change", world.key.row.pk))
        assert hidden.name not in text(form)


@pytest.mark.django_db
class TestPage:
    def test_page_shows_files_with_their_states(self, operator, dataset):
        factories.dataset_file(dataset, filename="done.pdf")
        factories.dataset_file(
            dataset, filename="broken.pdf", state=State.FAILED, error_message="The file is encrypted."
        )
        factories.dataset_file(
            dataset, filename="now.pdf", state=State.PROCESSING, stage="embedding", progress=80
        )
        page_text = text(page(operator, dataset))
        for words in ("done.pdf", "broken.pdf", "The file is encrypted.", "now.pdf", "Embedding · 80 %"):
            assert words in page_text

    def test_page_shows_what_a_started_file_waits_for(self, operator, dataset):
        waits = {"state": State.PROCESSING, "progress": 5, "needs_ocr": True}
        scan = factories.dataset_file(dataset, **waits)
        factories.dataset_file(dataset, **waits, retry_at=timezone.now() + timedelta(minutes=1))
        factories.dataset_file(
            dataset, **waits, lease=uuid4(), lease_until=timezone.now(), stage="extracting"
        )
        dataset_files = operator.get(url("files_dataset_progress", dataset.pk)).json()["dataset_files"]
        expected = ["queued for OCR", "waiting for a retry", "Extracting text · 5 %"]
        assert [row["note"] for row in sorted(dataset_files, key=lambda row: row["id"])] == expected
        DatasetFile.objects.filter(pk=scan.pk).update(lease=uuid4())
        assert "among scans" not in text(page(operator, dataset))

    def test_title_is_shown_and_can_be_changed(self, operator, dataset):
        address = url("files_dataset_change", dataset.pk)
        sent = fields(operator.get(address))
        saved = operator.post(address, {**sent, "title": "What all should know", "keys": []})
        assert saved.status_code == 302
        assert fields(operator.get(address))["title"] == "What all should know"

    def test_empty_dataset_is_explained(self, operator, dataset):
        assert "No files yet. Upload files above" in text(page(operator, dataset))

    def test_names_of_files_are_text(self, operator, dataset):
        factories.dataset_file(dataset, filename="<img src=x onerror=alert(1)>.txt")
        html = page(operator, dataset).content.decode()
        assert "<img src=x" not in html
        assert "&lt;img src=x" in html

    def test_page_shows_reindexing_and_its_failure(self, operator, world, dataset):
        Dataset.objects.filter(pk=dataset.pk).update(embedding="new", indexed_embedding="old")
        assert "Re-indexing with new. 0 of 0 chunks. Searches use the vectors of old" in text(
            page(operator, dataset)
        )
        Dataset.objects.filter(pk=dataset.pk).update(index_error="main: no such model")
        assert "main: no such model" in text(page(operator, dataset))

    def test_page_shows_the_progress_of_reindexing(self, operator, dataset):
        dataset_file = factories.dataset_file(dataset, chunk_count=3)
        for words in ("One.", "Two.", "Three."):
            factories.chunk(dataset_file, words)
        Dataset.objects.filter(pk=dataset.pk).update(embedding="new", next_embedding="new", next_generation=2)
        ChunkVector.objects.bulk_create(
            ChunkVector(
                chunk=chunk,
                tenant_id=chunk.tenant_id,
                dataset=dataset,
                generation=2,
                dimensions=1,
                vector="[1]",
            )
            for chunk in dataset_file.chunks.all()[:2]
        )
        assert "Re-indexing with new. 2 of 3 chunks." in text(page(operator, dataset))
        progress = operator.get(url("files_dataset_progress", dataset.pk)).json()
        assert progress["working"] == 1
        assert "2 of 3 chunks" in progress["parts"]["dataset-index"]
        Dataset.objects.filter(pk=dataset.pk).update(indexed_embedding="new", next_embedding="", generation=2)
        progress = operator.get(url("files_dataset_progress", dataset.pk)).json()
        assert (progress["working"], progress["parts"]["dataset-index"].strip()) == (0, "")

    def test_query_count_is_independent_of_files(self, operator, dataset):
        def more(count: int) -> None:
            made = [
                File(tenant=dataset.tenant, filename="x", bytes=1, path=factories.unique("files/nowhere"))
                for _ in range(count)
            ]
            File.objects.bulk_create(made)
            DatasetFile.objects.bulk_create(
                DatasetFile(tenant=dataset.tenant, dataset=dataset, file=one, state=State.READY)
                for one in made
            )

        more(3)
        page(operator, dataset)
        with queries() as few:
            page(operator, dataset)
        more(997)
        with queries() as many:
            response = page(operator, dataset)
        assert len(many) == len(few)
        assert "The newest 25 of 1,000." in text(response)

    def test_unchanged_form_can_be_saved(self, operator, world, dataset):
        factories.dataset_file(dataset)
        address = url("files_dataset_change", dataset.pk)
        response = operator.post(address, {**fields(operator.get(address)), "keys": [world.key.row.pk]})
        assert response.status_code == 302
        assert dataset.grants.get().key_id == world.key.row.pk

    def test_client_created_dataset_is_marked_and_can_be_taken_over(self, operator, world):
        theirs = factories.dataset(world.tenant, "theirs", keys=[world.key.row], by_client=True)
        assert "made by a client" in text(operator.get(url("files_dataset_changelist"), {"q": theirs.pk}))
        address = url("files_dataset_change", theirs.pk)
        sent = fields(operator.get(address))
        assert operator.post(address, {**sent, "keys": [world.key.row.pk]}).status_code == 302
        assert Dataset.objects.get(pk=theirs.pk).by_client
        assert sent.pop("by_client")
        assert operator.post(address, {**sent, "keys": [world.key.row.pk]}).status_code == 302
        assert not Dataset.objects.get(pk=theirs.pk).by_client
        assert theirs.grants.get().key_id == world.key.row.pk
        assert "by_client" not in fields(operator.get(address))

    def test_page_shows_last_use_and_expiry_until_takeover(self, operator, world, dataset):
        Dataset.objects.filter(pk=dataset.pk).update(last_active_at=None)
        now = timezone.now()
        theirs = factories.dataset(
            world.tenant,
            "theirs",
            by_client=True,
            last_active_at=now - timedelta(days=3),
            expires_after=timedelta(7),
        )

        def listed() -> str:
            return text(operator.get(url("files_dataset_changelist"), {"tenant__id__exact": world.tenant.pk}))

        page_text = listed()
        assert "3 days ago expires in 3 days, unless used" in page_text
        assert "unknown" in page_text
        Dataset.objects.filter(pk=theirs.pk).update(last_active_at=now - timedelta(days=9))
        assert "expired 2 days ago" in listed()
        assert "Expires 2 days ago" in text(page(operator, theirs))
        lasting = factories.dataset(world.tenant, "lasting", by_client=True)
        assert "Expires never" in text(page(operator, lasting))
        address = url("files_dataset_change", theirs.pk)
        sent = fields(operator.get(address))
        assert sent.pop("by_client")
        assert operator.post(address, {**sent, "keys": []}).status_code == 302
        assert Dataset.objects.get(pk=theirs.pk).expires_after is None
        assert "expired" not in listed()

    def test_progress_includes_rows_of_new_files(self, operator, dataset):
        dataset_file = factories.dataset_file(dataset, state=State.PROCESSING, stage="chunking", progress=40)
        progress = operator.get(url("files_dataset_progress", dataset.pk)).json()
        assert progress["working"] == 1
        (row,) = progress["dataset_files"]
        assert (row["id"], row["progress"], row["note"]) == (
            dataset_file.pk,
            40,
            "Chunking · 40 %",
        )
        assert "notes.txt" in row["row"]
        assert "Processing" in progress["parts"]["dataset-figures"]
        DatasetFile.objects.filter(pk=dataset_file.pk).update(state=State.READY, chunk_count=2)
        later = operator.get(url("files_dataset_progress", dataset.pk)).json()
        assert later["working"] == 0
        assert later["dataset_files"][0]["key"] != row["key"]


@pytest.mark.django_db
class TestUpload:
    def test_uploaded_file_waits_for_a_worker(self, operator, dataset):
        answer = send(operator, dataset, notes())
        assert answer.status_code == 200
        assert answer.json()["files"][0] | {"name": "notes.txt", "created": True, "said": "added"}
        dataset_file = dataset.dataset_files.select_related("file").get()
        assert (dataset_file.state, dataset_file.file.key_id, dataset_file.file.origin) == (
            State.UPLOADED,
            None,
            "dataset",
        )
        with default_storage.open(dataset_file.file.path) as stored:
            assert stored.read() == b"The office opens at nine."

    def test_same_content_returns_the_existing_file(self, operator, dataset):
        send(operator, dataset, notes())
        again = send(operator, dataset, notes(name="other.txt")).json()["files"][0]
        assert (again["created"], again["said"]) == (False, "already exists: uploaded")
        assert dataset.dataset_files.count() == 1

    def test_upload_does_not_reuse_a_file_that_a_key_may_delete(self, operator, world, dataset):
        digest = sha256(b"The office opens at nine.").hexdigest()
        file = factories.file(world.tenant, origin="files", key=world.key.row, sha256=digest)
        factories.dataset_file(dataset, file=file)
        assert send(operator, dataset, notes()).json()["files"][0]["said"] == "added"

    def test_upload_of_several_files_reports_each_outcome(self, operator, world, dataset):
        world.tenant.max_file_bytes = 30
        world.tenant.save()
        answer = send(operator, dataset, notes(), notes(b"x" * 31, "large.txt"))
        assert answer.status_code == 413
        fine, large = answer.json()["files"]
        assert fine["said"] == "added"
        assert large["error"] == "The file exceeds the limit of 30 bytes."
        assert large["final"]
        assert [dataset_file.file.filename for dataset_file in dataset.dataset_files.all()] == ["notes.txt"]

    def test_oversized_upload_is_refused_before_its_form_is_read(self, operator, world, dataset):
        world.tenant.max_file_bytes = 10
        world.tenant.save()
        answer = send(operator, dataset, notes(b"x" * 100_000))
        assert (answer.status_code, answer.json()["error"]) == (
            413, "The file exceeds the limit of 10 bytes.",
        )  # fmt: skip

    def test_refusal_names_the_tenants_limit(self, operator, world, dataset):
        world.tenant.max_files = 0
        world.tenant.save()
        answer = send(operator, dataset, notes())
        assert answer.status_code == 403
        assert "File limit reached (0 of 0)" in answer.json()["files"][0]["error"]

    def test_upload_works_without_javascript(self, operator, dataset):
        address = url("files_dataset_upload", dataset.pk)
        response = operator.post(address, {"files": [notes(), notes(b"Two.", "two.txt")]}, follow=True)
        assert said(response) == ["notes.txt: added", "two.txt: added"]
        assert "No file was chosen." in said(operator.post(address, {}, follow=True))
        assert dataset.dataset_files.count() == 2

    def test_upload_is_in_the_history_of_the_dataset(self, operator, dataset):
        send(operator, dataset, notes())
        assert "Uploaded notes.txt." in text(operator.get(url("files_dataset_history", dataset.pk)))

    def test_upload_leaves_no_temporary_files(self, operator, dataset, settings, media):
        settings.FILE_UPLOAD_TEMP_DIR = str(media / "temporary")
        Path(settings.FILE_UPLOAD_TEMP_DIR).mkdir()
        send(operator, dataset, notes())
        send(operator, dataset, notes())
        assert list(Path(settings.FILE_UPLOAD_TEMP_DIR).iterdir()) == []


@pytest.mark.django_db
class TestWhoMay:
    def test_upload_requires_the_add_permission(self, staff, dataset):
        looking = staff("files.view_dataset", "files.view_datasetfile", "files.change_dataset")
        assert send(looking, dataset, notes()).status_code == 403
        assert "Drop files here" not in text(page(looking, dataset))
        adding = staff("files.view_dataset", "files.add_datasetfile")
        assert send(adding, dataset, notes()).status_code == 200
        assert send(staff("files.add_datasetfile"), dataset, notes(b"Two.")).status_code == 403
        assert dataset.dataset_files.count() == 1

    def test_cross_site_upload_is_refused(self, dataset):
        client = Client(enforce_csrf_checks=True)
        client.force_login(User.objects.create_superuser(factories.unique("operator")))
        assert send(client, dataset, notes()).status_code == 403
        token = client.get(url("files_dataset_change", dataset.pk)).context["csrf_token"]
        assert send(client, dataset, notes(), **{"x-csrftoken": str(token)}).status_code == 200

    def test_anonymous_user_is_redirected_to_login(self, dataset):
        assert send(Client(), dataset, notes()).status_code == 302
        assert not dataset.dataset_files.exists()

    def test_file_rows_require_the_view_permission(self, staff, dataset):
        factories.dataset_file(dataset, filename="secret-plan.pdf")
        client = staff("files.view_dataset")
        assert "secret-plan.pdf" not in text(page(client, dataset))
        progress = client.get(url("files_dataset_progress", dataset.pk))
        assert "secret-plan.pdf" not in progress.content.decode()
        assert client.get(url("files_dataset_search_page", dataset.pk)).status_code == 403
        assert (
            staff("files.view_datasetfile").get(url("files_dataset_progress", dataset.pk)).status_code == 403
        )


@pytest.mark.django_db
class TestAgain:
    def test_failed_files_are_queued_again(self, operator, dataset):
        failed = factories.dataset_file(
            dataset, state=State.FAILED, error_code="worker_lost", attempts=3, worker_deaths=10,
            requested_by=factories.key(dataset.tenant).row,
        )  # fmt: skip
        ready = factories.dataset_file(dataset)
        confirmation = operator.get(url("files_dataset_again_page", dataset.pk))
        assert "Process 1 failed file again" in text(confirmation)
        done = operator.post(url("files_dataset_again_page", dataset.pk), {"confirm": "yes"}, follow=True)
        assert said(done) == ["1 file to be processed again."]
        failed.refresh_from_db()
        ready.refresh_from_db()
        assert failed.requested_by is None
        assert (failed.state, failed.error_code, failed.attempts, failed.worker_deaths) == (
            "uploaded",
            "",
            0,
            0,
        )
        assert ready.state == State.READY


class TestDelete:
    def test_deletion_includes_the_files_of_the_dataset(self, operator, world, dataset):
        send(operator, dataset, notes())
        path = dataset.dataset_files.get().file.path
        kept = factories.file(world.tenant, origin=File.Origin.FILES)
        factories.dataset_file(dataset, file=kept)
        confirmation = text(operator.get(url("files_dataset_delete", dataset.pk)))
        assert "notes.txt" not in confirmation
        operator.post(url("files_dataset_delete", dataset.pk), {"post": "yes"})
        assert not Dataset.objects.filter(pk=dataset.pk).exists()
        assert not default_storage.exists(path)
        assert File.objects.filter(pk=kept.pk).exists()

    def test_bulk_deletion_includes_the_files_of_the_datasets(self, operator, dataset):
        send(operator, dataset, notes())
        path = dataset.dataset_files.get().file.path
        data = {"action": "delete_selected", "_selected_action": [dataset.pk], "post": "yes"}
        operator.post(url("files_dataset_changelist"), data)
        assert not Dataset.objects.filter(pk=dataset.pk).exists()
        assert not default_storage.exists(path)


def ask(client: Client, dataset: Dataset, query: str, mode: str = "hybrid", limit: int = 10):
    data = {"query": query, "mode": mode, "limit": limit}
    return client.post(url("files_dataset_search_page", dataset.pk), data)


class TestSearch:
    @pytest.fixture(autouse=True)
    def own_embedder(self, settings):
        settings.FILES_EMBEDDER = "tests.files.fake_embedder.embed"
        fake_embedder.CALLS.clear()

    @pytest.fixture
    def animals(self, world) -> Dataset:
        made = factories.dataset(world.tenant, "animals", embedding="embedder")
        dataset_file = factories.dataset_file(made, filename="animals.pdf", chunk_count=2)
        for said_, at in (("Cats are sleeping <b>all</b> day.", 3), ("A ship sails on the river.", 4)):
            factories.chunk(
                dataset_file, said_, vector=fake_embedder.vector(said_), page=at, heading="Animals"
            )
        return made

    def test_search_shows_results_with_scores_and_highlighted_terms(self, operator, animals):
        response = ask(operator, animals, "a sleeping cat")
        page, html = text(response), response.content.decode()
        assert "1 result " in page or "2 results" in page
        for words in ("animals.pdf", "page 3", "Animals", "relevance", "similarity", "score"):
            assert words in page
        assert "<mark>Cats</mark> are <mark>sleeping</mark> &lt;b&gt;all&lt;/b&gt; day." in html

    def test_found_bigrams_are_marked_in_a_text_without_spaces(self, operator, world):
        store = factories.dataset(world.tenant, "bigrams")
        factories.chunk(factories.dataset_file(store, chunk_count=1), "<b>年に二十八日の有給休暇とGPU。日")
        html = ask(operator, store, "有給休暇の日とgpu").content.decode()
        assert "&lt;b&gt;年に二十八<mark>日</mark>の<mark>有給休暇</mark>とGPU。<mark>日</mark>" in html

    def test_terms_are_highlighted_next_to_one_that_is_too_long_to_search(self, operator, animals):
        html = ask(operator, animals, f"{'Ⱥ' * 682}b sleeping & cats", mode="text").content.decode()
        assert "<mark>Cats</mark> are <mark>sleeping</mark> &lt;b&gt;all&lt;/b&gt; day." in html

    def test_each_result_links_to_its_chunk(self, operator, animals):
        first = ask(operator, animals, "ship").context["trial"].results[0]
        page = operator.get(first.link)
        assert page.status_code == 200
        assert first.link.partition("#")[2] in page.content.decode()

    def test_full_text_search_calls_no_model(self, operator, animals):
        page_text = ask(operator, animals, "ship", mode="text").context["trial"].results
        assert [one.result.text for one in page_text] == ["A ship sails on the river."]
        assert fake_embedder.CALLS == []

    def test_failing_embedding_model_is_reported(self, operator, world):
        away = factories.dataset(world.tenant, "away", embedding="away")
        factories.chunk(
            factories.dataset_file(away, chunk_count=1), "A ship sails.", vector=fake_embedder.vector("ship")
        )
        assert "away did not answer" in text(ask(operator, away, "ship"))

    def test_empty_search_result_is_explained(self, operator, world):
        empty = factories.dataset(world.tenant, "nothing")
        assert "No file of this dataset is ready yet." in text(ask(operator, empty, "ship"))

    @pytest.mark.parametrize(
        "data", [{}, {"query": " ", "mode": "hybrid"}, {"query": "x\0", "mode": "no", "limit": "'"}]
    )
    def test_invalid_parameters_are_ignored(self, operator, animals, data):
        response = operator.post(url("files_dataset_search_page", animals.pk), data)
        assert response.status_code == 200
        assert response.context["trial"] is None

    def test_search_finds_nothing_of_another_dataset(self, operator, world, animals):
        factories.chunk(
            factories.dataset_file(factories.dataset(world.tenant), chunk_count=1), "A secret ship."
        )
        assert "secret" not in text(ask(operator, animals, "ship", mode="text"))


def test_search_in_a_running_gateway_calls_the_provider(gateway, upstream):
    """The page runs in a thread of a web process; the connection to the provider is on that process's loop."""

    async def play(wire: Wire) -> None:
        data = [
            {"object": "embedding", "index": at, "embedding": [1.0, 2.0, 3.0]}
            for at, _ in enumerate(wire.received.json["input"])
        ]
        await answers.answer({"object": "list", "data": data, "model": "x", "usage": {}})(wire)

    world = factories.world(upstream.base_url)
    entry = factories.catalog(world.provider, "embedder", capabilities=["embed"])
    upstream.script(entry.model, play)
    made = factories.dataset(world.tenant, embedding="embedder")
    dataset_file = factories.dataset_file(made, filename="lighthouse.txt", chunk_count=1)
    factories.chunk(dataset_file, "The lighthouse stands in the west.", vector=[1.0, 2.0, 3.0])
    name = User.objects.create_superuser(factories.unique("operator"), password="a password").username
    with httpx.Client(base_url=gateway.url, follow_redirects=True, timeout=30) as browser:
        browser.get("/admin/login/")
        log_in = {"username": name, "password": "a password", "next": "/admin/"}
        browser.post("/admin/login/", data={**log_in, "csrfmiddlewaretoken": browser.cookies["csrftoken"]})
        for _ in range(3):
            page_text = browser.post(
                f"/admin/files/dataset/{made.pk}/search/",
                data={
                    "query": "where is it", "mode": "vector", "limit": "5",
                    "csrfmiddlewaretoken": browser.cookies["csrftoken"],
                },
            )  # fmt: skip
            assert page_text.status_code == 200
            assert "lighthouse.txt" in page_text.text
            assert "similarity <b>1.00</b>" in page_text.text
