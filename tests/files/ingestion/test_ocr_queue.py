"""Scans that take minutes, and what is read beside them."""

import pytest
from django.db import transaction

from files.ingestion.wakeup import wake
from files.models import DatasetFile
from tests import factories
from tests.files import hostile_files
from tests.files.ingestion.helpers import ended, readers, readers_of, state
from tests.waiting import eventually


@pytest.fixture
def scans(ingest):
    """Three scans of one tenant that nobody has time for: each of two processes reads one, and one waits."""
    theirs = factories.dataset(factories.tenant())
    data = hostile_files.make("endless-scan.pdf")
    made = [factories.upload(theirs, data, filename=f"{number}.pdf") for number in range(3)]
    wake()

    def begun() -> bool:
        each = [len(list(readers_of(process))) for process in ingest.pool()]
        return each == [1, 1] and any(scan.needs_ocr and scan.lease is None for scan in map(state, made))

    eventually(begun)
    yield made
    cancel(*made)
    eventually(lambda: not list(readers(ingest)))


def cancel(*dataset_files: DatasetFile) -> None:
    DatasetFile.objects.filter(pk__in=[dataset_file.pk for dataset_file in dataset_files]).update(
        state="cancelled", lease=None, lease_until=None
    )


def in_work(scans: list[DatasetFile]) -> list[DatasetFile]:
    return [scan for scan in map(state, scans) if scan.lease is not None]


def test_files_of_others_are_read_beside_scans(scans, ingest):
    ours = factories.dataset(factories.tenant())
    [dataset_file] = ended(factories.upload(ours, b"Ropes lie in the shed."))
    assert dataset_file.state == "ready"
    assert len(in_work(scans)) == 2
    # That of the same tenant, too.
    [dataset_file] = ended(factories.upload(scans[0].dataset, b"Kettles stand in the kitchen."))
    assert dataset_file.state == "ready"
    assert [scan.state for scan in map(state, scans)] == ["processing"] * 3
    assert len(in_work(scans)) == 2
    assert len(list(readers(ingest))) == 2


def test_scan_waits_for_another_one_and_is_read_then(scans):
    [waiting] = [scan for scan in map(state, scans) if scan.lease is None]
    assert (waiting.state, waiting.attempts, waiting.worker_deaths, waiting.retry_at) == (
        "processing",
        0,
        0,
        None,
    )
    cancel(in_work(scans)[0])
    eventually(lambda: waiting.pk in [scan.pk for scan in in_work(scans)])


def test_process_that_reads_a_file_ends_with_the_work_on_it(scans, ingest):
    cancel(*scans)
    eventually(lambda: not list(readers(ingest)))
    assert all(state(scan).state == "cancelled" for scan in scans)


def test_scans_that_are_read_at_once_keep_no_other_file_waiting(ingest):
    """Nobody sees that such a one is recognised, so it holds the place where the others are read, too."""
    theirs, ours = (factories.dataset(factories.tenant()) for _ in range(2))
    with transaction.atomic():
        scans = [factories.upload(theirs, b"A picture of a lantern.", needs_ocr=True) for _ in range(8)]
        other = factories.upload(ours, b"Ropes lie in the shed.")
    [other, *scans] = ended(other, *scans)
    before = [scan for scan in scans if scan.started_at < other.started_at]
    # Each of the two processes may have begun with one.
    assert len(before) <= 2
