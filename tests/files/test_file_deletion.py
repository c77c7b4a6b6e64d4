"""Deleting a file while its datasets change concurrently."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from files.models import Dataset, DatasetFile, File
from files.uploads import attach, cleanup, deletion
from files.uploads.attach import Attachment
from tests import factories
from tests.waiting import another_connection_waits, eventually, with_own_connection

SOON = 20


@pytest.fixture
def dataset(world):
    return factories.dataset(world.tenant, keys=[world.key.row])


def left(world) -> tuple[int, int]:
    """The tenant's number of files and of dataset files."""
    return tuple(model.objects.filter(tenant=world.tenant).count() for model in (File, DatasetFile))


def test_file_can_be_deleted_while_it_is_being_attached(http, world, dataset):
    file = factories.file(world.tenant, origin=File.Origin.FILES, key=world.key.row)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            attach.attach_files(dataset, world.key.row.pk, [Attachment(file.pk)])
            request = pool.submit(http.delete, f"/files/{file.pk}")
            eventually(another_connection_waits)
        assert request.result(SOON).status_code == 200
    assert left(world) == (0, 0)


def test_file_can_be_deleted_while_its_dataset_is_being_deleted(http, world, dataset):
    file = factories.dataset_file(dataset).file
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            # What the deletion of a dataset does first.
            File.objects.select_for_update().get(pk=file.pk)
            request = pool.submit(http.delete, f"/files/{file.pk}")
            eventually(another_connection_waits)
            deletion.delete_dataset(dataset)
        assert request.result(SOON).status_code == 200
    assert left(world) == (0, 0)
    assert not Dataset.objects.filter(pk=dataset.pk).exists()


@pytest.mark.parametrize("headers", [{}, {"idempotency-key": "k1"}], ids=["plain", "idempotent"])
@pytest.mark.parametrize(
    "removal",
    [lambda dataset_file: deletion.delete_file(dataset_file.file), deletion.detach],
    ids=["deleted", "detached"],
)
def test_file_being_removed_is_not_reused_for_the_same_content(http, world, dataset, removal, headers):
    def upload(**headers):
        at = f"/datasets/{dataset.pk}/files"
        return http.post(at, files={"file": ("a.txt", b"one")}, headers=headers)

    dataset_file = dataset.dataset_files.get(file=upload().json()["id"])
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            removal(dataset_file)
            again = pool.submit(upload, **headers)
            eventually(another_connection_waits)
        answer = again.result(SOON)
    assert answer.status_code == 200, answer.text
    assert answer.json()["id"] != dataset_file.file_id
    assert dataset.dataset_files.get().file_id == answer.json()["id"]


def test_file_being_detached_is_not_in_the_dataset(http, world, dataset):
    """A file that was attached is not deleted by detaching it."""
    form = {"files": {"file": ("a.txt", b"one")}}
    file = http.post("/files", data={"purpose": "assistants"}, **form).json()
    dataset_file = factories.dataset_file(dataset, file=File.objects.get(pk=file["id"]))
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            deletion.detach(dataset_file)
            again = pool.submit(http.post, f"/datasets/{dataset.pk}/files", **form)
            eventually(another_connection_waits)
        answer = again.result(SOON).json()
    assert answer["id"] != file["id"]
    assert dataset.dataset_files.get().file_id == answer["id"]


def test_sweep_continues_after_an_expired_file_is_being_attached(world, dataset):
    past = timezone.now() - timedelta(hours=1)
    files = [factories.file(world.tenant, origin=File.Origin.FILES, expires_at=past) for _ in range(3)]
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            # As attaching does, for which it had not expired yet.
            File.objects.select_for_update(no_key=True).get(pk=files[0].pk)
            factories.dataset_file(dataset, file=files[0])
            sweep = pool.submit(with_own_connection, cleanup.delete_expired_files)
            eventually(another_connection_waits)
        sweep.result(SOON)
    assert left(world) == (0, 0)
