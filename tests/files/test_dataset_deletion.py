"""Deleting a dataset while its contents change concurrently."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import transaction

from files.models import Dataset, DatasetFile, File, FileBatch
from files.uploads import access, attach, deletion
from files.uploads.attach import Attachment
from tests import factories
from tests.waiting import another_connection_waits, eventually, with_own_connection

SOON = 20


@pytest.fixture
def tenant():
    return factories.tenant()


def test_files_can_be_attached_while_their_dataset_is_deleted(tenant):
    key = factories.key(tenant).row
    dataset = factories.dataset(tenant, keys=[key])
    there = factories.dataset_file(dataset).file
    new = factories.file(tenant, origin=File.Origin.FILES, key=key)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            # What attaching does first; the removal comes in between.
            File.objects.select_for_update(no_key=True).get(pk=there.pk)
            removal = pool.submit(with_own_connection, lambda: deletion.delete_dataset(dataset))
            eventually(another_connection_waits)
            batch = FileBatch(tenant=tenant, dataset=dataset)
            attach.attach_files(dataset, key.pk, [Attachment(there.pk), Attachment(new.pk)], batch)
        removal.result(SOON)
    assert not Dataset.objects.filter(pk=dataset.pk).exists()
    assert set(File.objects.filter(tenant=tenant)) == {new}


def test_upload_during_dataset_deletion_uses_the_same_lock_order(tenant):
    dataset, other = factories.dataset(tenant), factories.dataset(tenant)
    file = factories.file(tenant)
    held = threading.Event()

    def come() -> None:
        with transaction.atomic():
            access.lock_for_adding(dataset)
            factories.dataset_file(dataset, file=file)
            held.set()
            eventually(another_connection_waits)

    with ThreadPoolExecutor(2) as pool:
        with transaction.atomic():
            File.objects.select_for_update(no_key=True).get(pk=file.pk)
            coming = pool.submit(with_own_connection, come)
            assert held.wait(SOON)
            removal = pool.submit(with_own_connection, lambda: deletion.delete_dataset(dataset))
            coming.result(SOON)
            # It finds the file only now, which is put into another dataset at this moment.
            eventually(another_connection_waits)
            factories.dataset_file(other, file=file)
        removal.result(SOON)
    assert not Dataset.objects.filter(pk=dataset.pk).exists()
    assert other.dataset_files.get().file == file


def test_file_is_deleted_with_the_last_of_concurrently_deleted_datasets(tenant):
    first, second = factories.dataset(tenant), factories.dataset(tenant)
    file = factories.dataset_file(first).file
    factories.dataset_file(second, file=file)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            deletion.delete_dataset(first)
            removal = pool.submit(with_own_connection, lambda: deletion.delete_dataset(second))
            eventually(another_connection_waits)
        removal.result(SOON)
    assert not DatasetFile.objects.filter(tenant=tenant).exists()
    assert not File.objects.filter(pk=file.pk).exists()
