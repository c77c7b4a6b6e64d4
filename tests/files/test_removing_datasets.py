"""A dataset that is deleted while others change what is in it."""

import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from files import placing, uploads
from files.models import Dataset, DatasetFile, File, FileBatch
from files.placing import Wanted
from tests import factories

SOON = 20
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = %s"


def remove(dataset: Dataset, pids: list[int]) -> None:
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                pids.append(cursor.fetchone()[0])
            uploads.remove_dataset(dataset)
    finally:
        connections.close_all()


def waits(removal: "Future[None]", pids: list[int]) -> None:
    """Wait until the removal waits for a lock."""
    deadline = time.monotonic() + SOON
    while True:
        assert time.monotonic() < deadline
        assert not removal.done(), removal.exception()
        if pids:
            with connection.cursor() as cursor:
                cursor.execute(WAITING, pids)
                if cursor.fetchone()[0]:
                    return
        time.sleep(0.02)


@pytest.fixture
def tenant():
    return factories.tenant()


def test_files_are_attached_while_their_dataset_is_deleted(tenant):
    key = factories.key(tenant).row
    dataset = factories.dataset(tenant, keys=[key])
    there = factories.place(dataset).file
    new = factories.file(tenant, origin=File.Origin.FILES, key=key)
    pids: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            # What placing does first; the removal comes in between.
            File.objects.select_for_update(no_key=True).get(pk=there.pk)
            removal = pool.submit(remove, dataset, pids)
            waits(removal, pids)
            batch = FileBatch(tenant=tenant, dataset=dataset)
            placing.place(dataset, key.pk, [Wanted(there.pk), Wanted(new.pk)], batch)
        removal.result(SOON)
    assert not Dataset.objects.filter(pk=dataset.pk).exists()
    assert set(File.objects.filter(tenant=tenant)) == {new}


def test_a_file_goes_with_the_last_of_datasets_that_are_deleted_at_once(tenant):
    first, second = factories.dataset(tenant), factories.dataset(tenant)
    file = factories.place(first).file
    factories.place(second, file=file)
    pids: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            uploads.remove_dataset(first)
            removal = pool.submit(remove, second, pids)
            waits(removal, pids)
        removal.result(SOON)
    assert not DatasetFile.objects.filter(tenant=tenant).exists()
    assert not File.objects.filter(pk=file.pk).exists()
