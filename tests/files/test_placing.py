"""Many files that are put into a dataset at once."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from files.models import Dataset, DatasetFile, File, FileBatch
from files.uploads import attach
from files.uploads.attach import Wanted
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
        Wanted(file_id, {"n": n}, CHUNKING if n % 3 == 0 and n // 3 % 3 == 2 else None)
        for n, file_id in enumerate(ids)
    ]


def queries(key, number):
    """How many statements it takes to put so many files into a dataset as a batch."""
    dataset = factories.dataset(key.tenant)
    wanted = mixed(dataset, files(key, number))
    batch = FileBatch(tenant=key.tenant, dataset=dataset)
    with CaptureQueriesContext(connection) as caught, transaction.atomic():
        attach.place(dataset, key.pk, wanted, batch)
    assert dataset.places.filter(batch=batch).count() == number
    return len(caught)


def test_the_number_of_statements_does_not_grow_with_that_of_files(key):
    assert queries(key, 100) == queries(key, 9)


def test_each_file_becomes_what_was_wanted_of_it(key):
    dataset, other = factories.dataset(key.tenant), factories.key(key.tenant).row
    ids = files(key, 18)
    wanted = mixed(dataset, ids)
    dataset.places.update(requested_by=other)
    before = {place.file_id: place for place in dataset.places.all()}
    batch = FileBatch(tenant=key.tenant, dataset=dataset)
    attach.place(dataset, key.pk, wanted, batch)
    places = {place.file_id: place for place in dataset.places.all()}
    assert places.keys() == set(ids)
    assert {place.batch for place in places.values()} == {batch}
    for n, one in enumerate(wanted):
        place, was = places[one.file_id], before.get(one.file_id)
        assert (place.attributes, place.chunking) == ({"n": n}, one.chunking)
        if was is None:
            assert (place.state, place.requested_by) == (State.UPLOADED, key)
        elif was.state == State.FAILED or one.chunking:
            assert (place.pk, place.state, place.progress, place.requested_by) == (was.pk, "uploaded", 0, key)
        else:
            assert (place.pk, place.state, place.progress, place.requested_by) == (was.pk, "ready", 9, other)


def test_attributes_and_chunking_that_nobody_names_stay(key):
    dataset, (one, two) = factories.dataset(key.tenant), files(key, 2)
    place = factories.place(
        dataset, file=File.objects.get(pk=one), attributes={"a": 1}, chunking=CHUNKING, state=State.CANCELLED
    )
    attach.place(dataset, key.pk, [Wanted(one), Wanted(two)])
    place.refresh_from_db()
    assert (place.state, place.attributes, place.chunking) == (State.UPLOADED, {"a": 1}, CHUNKING)


def test_none_is_placed_where_one_is_not_there(key):
    dataset, ids = factories.dataset(key.tenant), files(key, 3)
    stranger = files(factories.key(key.tenant).row, 1)
    for missing in (*stranger, "file-nowhere", "file-\0"):
        with pytest.raises(NotFound, match=missing):
            attach.place(dataset, key.pk, [*map(Wanted, ids), Wanted(missing)])
    assert not dataset.places.exists()


def test_nothing_is_placed_in_a_dataset_that_was_deleted(key):
    dataset, ids = factories.dataset(key.tenant), files(key, 1)
    Dataset.objects.filter(pk=dataset.pk).delete()
    with pytest.raises(NotFound, match=dataset.pk):
        attach.place(dataset, key.pk, [Wanted(ids[0])])
