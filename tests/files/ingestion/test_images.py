"""Images and scans, from upload through OCR by real workers to search."""

import pytest

from files.ingestion.reprocess import reprocess
from files.models import Dataset, DatasetFile
from tests import factories
from tests.files import hostile_files, sample_files
from tests.gateway import IngestProcess
from tests.waiting import eventually

#: As large as a note: a whole page takes longer.
SMALL = (720, 260)


@pytest.fixture
def store(world) -> Dataset:
    return factories.dataset(world.tenant, keys=[world.key.row])


@pytest.fixture
def send(ocr, upload):
    """Uploads a file and returns its final representation."""
    return upload


@pytest.fixture
def upload(http, store):
    """Upload to a gateway with a dedicated worker."""

    def sent(name: str, data: bytes) -> dict:
        made = http.post(f"/datasets/{store.pk}/files", files={"file": (name, data)}).json()
        found = {}

        def ended() -> bool:
            found.update(http.get(f"/files/{made['id']}").json())
            return found["status"] in ("ready", "failed")

        eventually(ended, 120)
        return found

    return sent


def results(http, store, query: str) -> list[tuple[str, int | None, str]]:
    """File, page and text of what a search finds."""
    data = http.post(f"/datasets/{store.pk}/search", json={"query": query}).json()["data"]
    return [(found["filename"], found["page"], found["text"]) for found in data]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
def test_printed_text_in_an_image_is_found(http, store, send, form):
    image = sample_files.image(["The lantern hangs in the hall", "and burns all night"], form, SMALL)
    assert send(f"note.{form.lower()}", image)["status"] == "ready"
    assert results(http, store, "lantern") == [
        (f"note.{form.lower()}", None, "The lantern hangs in the hall\n\nand burns all night")
    ]


def test_image_without_text_fails(send):
    found = send("blank.png", sample_files.image([], size=SMALL))
    assert (found["status"], found["error"]["code"]) == ("failed", "no_text")


def test_image_that_exceeds_memory_fails(send):
    found = send("vast.png", hostile_files.blank_png(20_000))
    assert (found["status"], found["error"]["code"]) == ("failed", "file_too_complex")


def test_scanned_pages_are_found_with_their_page_number(http, store, send):
    scans = {
        2: sample_files.image(["The lantern hangs in the hall"], "JPEG"),
        3: sample_files.image(["", "", "Kettles stand in the kitchen"], "JPEG"),
    }
    pages = [["Ropes lie in the shed behind the house."], [], ["3"], []]
    assert send("house.pdf", sample_files.pdf(pages, scans=scans))["status"] == "ready"
    assert results(http, store, "ropes") == [("house.pdf", 1, "Ropes lie in the shed behind the house.")]
    assert results(http, store, "lantern") == [("house.pdf", 2, "The lantern hangs in the hall")]
    [(_, page, text)] = results(http, store, "kettles")
    assert page == 3
    assert "Kettles stand in the kitchen" in text


def test_warning_counts_pages_that_were_not_read_without_ocr(worker, http, store, upload, tmp_path):
    pages = [["Ropes lie in the shed behind the house."], []]
    scans = {2: sample_files.image(["The lantern hangs in the hall"], "JPEG")}
    with IngestProcess(factories.unique("ingest"), TESSDATA_PREFIX=str(tmp_path)):
        found = upload("house.pdf", sample_files.pdf(pages, scans=scans))
    assert (found["status"], found["error"]) == ("ready", None)
    assert found["warning"] == (
        "The images on 1 page were not read, so text may be missing: OCR is not installed on this gateway."
    )
    assert found["status_details"] == found["warning"]
    file = http.get(f"/vector_stores/{store.pk}/files/{found['id']}").json()
    assert (file["status"], file["last_error"], file["warning"]) == ("completed", None, found["warning"])
    reprocess(DatasetFile.objects.filter(file=found["id"]), None)
    waiting = http.get(f"/files/{found['id']}").json()
    assert (waiting["status"], waiting["warning"], waiting["status_details"]) == ("uploaded", None, None)
