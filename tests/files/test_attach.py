"""Attaching many files to a dataset in one request."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from files.models import Dataset, DatasetFile, File, FileBatch
from files.uploads import attach
from files.uploads.attach import Attachment
from gtapi.errors import NotFound
from tests import factories

State = DatasetFile.State
CHUNKING = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}

pytestmark = pytest.mark.django_db


@pytest.fixture
def key():
    return factories.key(factories.tenant()).row


def files(key, number):
    rows = [
        File(
            tenant=key.tenant, key=key, origin=File.Origin.FILES, purpose="assistants", filename=f"{n}.txt",
            bytes=1, sha256="0" * 64, path=factories.unique("files/nowhere"),
        )
        for n in range(number)
    ]  # fmt: skip
    return [file.pk for file in File.objects.bulk_create(rows)]


def mixed(dataset, ids):
    """A third of the files is there already: ready, failed, and ready to be cut in another way."""
    states = (State.READY, State.FAILED, State.READY)
    DatasetFile.objects.bulk_create(
        DatasetFile(tenant=dataset.tenant, dataset=dataset, file_id=file_id, state=states[n % 3], progress=9)
        for n, file_id in enumerate(ids[::3])
    )
    return [
        Attachment(file_id, {"n": n}, CHUNKING if n % 3 == 0 and n // 3 % 3 == 2 else None)
        for n, file_id in enumerate(ids)
    ]


def queries(key, number):
    """How many statements it takes to put so many files into a dataset as a batch."""
    dataset = factories.dataset(key.tenant)
    wanted = mixed(dataset, files(key, number))
    batch = FileBatch(tenant=key.tenant, dataset=dataset)
    with CaptureQueriesContext(connection) as caught, transaction.atomic():
        attach.attach_files(dataset, key.pk, wanted, batch)
    assert dataset.dataset_files.filter(batch=batch).count() == number
    return len(caught)


def test_statement_count_is_independent_of_files(key):
    assert queries(key, 100) == queries(key, 9)


def test_each_file_gets_the_requested_state(key):
    dataset, other = factories.dataset(key.tenant), factories.key(key.tenant).row
    ids = files(key, 18)
    wanted = mixed(dataset, ids)
    dataset.dataset_files.update(requested_by=other)
    before = {dataset_file.file_id: dataset_file for dataset_file in dataset.dataset_files.all()}
    batch = FileBatch(tenant=key.tenant, dataset=dataset)
    attach.attach_files(dataset, key.pk, wanted, batch)
    dataset_files = {dataset_file.file_id: dataset_file for dataset_file in dataset.dataset_files.all()}
    assert dataset_files.keys() == set(ids)
    assert {dataset_file.batch for dataset_file in dataset_files.values()} == {batch}
    for n, one in enumerate(wanted):
        dataset_file, was = dataset_files[one.file_id], before.get(one.file_id)
        assert (dataset_file.attributes, dataset_file.chunking) == ({"n": n}, one.chunking)
        if was is None:
            assert (dataset_file.state, dataset_file.requested_by) == (State.UPLOADED, key)
        elif was.state == State.FAILED or one.chunking:
            assert (
                dataset_file.pk,
                dataset_file.state,
                dataset_file.progress,
                dataset_file.requested_by,
            ) == (was.pk, "uploaded", 0, key)
        else:
            assert (
                dataset_file.pk,
                dataset_file.state,
                dataset_file.progress,
                dataset_file.requested_by,
            ) == (was.pk, "ready", 9, other)


def test_omitted_attributes_and_chunking_are_unchanged(key):
    dataset, (one, two) = factories.dataset(key.tenant), files(key, 2)
    dataset_file = factories.dataset_file(
        dataset, file=File.objects.get(pk=one), attributes={"a": 1}, chunking=CHUNKING, state=State.CANCELLED
    )
    attach.attach_files(dataset, key.pk, [Attachment(one), Attachment(two)])
    dataset_file.refresh_from_db()
    assert (dataset_file.state, dataset_file.attributes, dataset_file.chunking) == (
        State.UPLOADED,
        {"a": 1},
        CHUNKING,
    )


def test_nothing_is_attached_if_a_file_is_missing(key):
    dataset, ids = factories.dataset(key.tenant), files(key, 3)
    stranger = files(factories.key(key.tenant).row, 1)
    for missing in (*stranger, "file-nowhere", "file-\0"):
        with pytest.raises(NotFound, match=missing):
            attach.attach_files(dataset, key.pk, [*map(Attachment, ids), Attachment(missing)])
    assert not dataset.dataset_files.exists()


def test_nothing_is_attached_to_a_deleted_dataset(key):
    dataset, ids = factories.dataset(key.tenant), files(key, 1)
    Dataset.objects.filter(pk=dataset.pk).delete()
    with pytest.raises(NotFound, match=dataset.pk):
        attach.attach_files(dataset, key.pk, [Attachment(ids[0])])
