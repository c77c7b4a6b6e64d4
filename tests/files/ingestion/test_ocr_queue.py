"""The queue of files that need OCR: its worker processes one at a time, and no other file waits for them."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from files.ingestion.wakeup import wake
from files.models import DatasetFile
from files.models.files import OCR_WAIT
from tests import factories
from tests.files import hostile_files, sample_files
from tests.files.ingestion.helpers import ended, extractions, state
from tests.waiting import eventually


@pytest.fixture
def scans(ocr):
    """Three scans of one tenant that take longer than any test: one is being processed, two wait."""
    dataset = factories.dataset(factories.tenant())
    data = hostile_files.make("endless-scan.pdf")
    scans = [factories.upload(dataset, data, filename=f"{number}.pdf") for number in range(3)]
    wake()
    eventually(lambda: all(scan.needs_ocr for scan in map(state, scans)) and len(list(extractions(ocr))) == 1)
    yield scans
    cancel(*scans)
    eventually(lambda: not list(extractions(ocr)))


def cancel(*dataset_files: DatasetFile) -> None:
    DatasetFile.objects.filter(pk__in=[dataset_file.pk for dataset_file in dataset_files]).update(
        state="cancelled", lease=None, lease_until=None
    )


def leased(scans: list[DatasetFile]) -> list[DatasetFile]:
    return [scan for scan in map(state, scans) if scan.lease is not None]


def test_other_files_are_processed_during_ocr(scans, ingest, ocr):
    ours = factories.dataset(factories.tenant())
    [dataset_file] = ended(factories.upload(ours, b"Ropes lie in the shed."))
    assert dataset_file.state == "ready"
    assert len(leased(scans)) == 1
    # Files of the same tenant, too.
    [dataset_file] = ended(factories.upload(scans[0].dataset, b"Kettles stand in the kitchen."))
    assert dataset_file.state == "ready"
    assert [scan.state for scan in map(state, scans)] == ["processing"] * 3
    assert len(leased(scans)) == 1
    assert len(list(extractions(ocr))) == 1
    assert not list(extractions(ingest))


def test_scan_waits_for_another_one_and_is_processed_then(scans):
    waiting = [scan for scan in map(state, scans) if scan.lease is None]
    assert [(scan.state, scan.attempts, scan.worker_deaths, scan.retry_at) for scan in waiting] == [
        ("processing", 0, 0, None)
    ] * 2
    cancel(leased(scans)[0])
    eventually(lambda: leased(waiting))


def test_extraction_process_ends_when_its_file_is_cancelled(scans, ocr):
    cancel(*scans)
    eventually(lambda: not list(extractions(ocr)))
    assert all(state(scan).state == "cancelled" for scan in scans)


def test_files_known_to_need_ocr_delay_no_other_file(ingest, ocr):
    theirs, ours = (factories.dataset(factories.tenant()) for _ in range(2))
    with transaction.atomic():
        scans = [factories.upload(theirs, b"A picture of a lantern.", needs_ocr=True) for _ in range(8)]
        other = factories.upload(ours, b"Ropes lie in the shed.")
    [other, *scans] = ended(other, *scans)
    before = [scan for scan in scans if scan.started_at < other.started_at]
    assert len(before) <= 1


def test_file_that_needs_ocr_waits_without_a_worker_and_is_reported(ingest, caplog):
    from files.tasks import check_ocr_worker

    dataset = factories.dataset(factories.tenant())
    scan = factories.upload(dataset, sample_files.image(["The lantern"]), filename="scan.png")
    text = factories.upload(dataset, b"Ropes lie in the shed.")
    assert ended(text)[0].state == "ready"
    eventually(lambda: state(scan).needs_ocr and state(scan).lease is None)
    stuck = DatasetFile.objects.filter(pk=scan.pk).stuck_before_ocr()
    assert not stuck.exists()
    DatasetFile.objects.filter(pk=scan.pk).update(started_at=timezone.now() - OCR_WAIT - timedelta(seconds=1))
    assert stuck.exists()
    check_ocr_worker()
    assert "no worker processes them" in caplog.text
    assert (state(scan).state, state(scan).attempts) == ("processing", 0)
    cancel(scan)
