"""Usage of embedding calls: the key to which processing and reindexing are booked."""

import httpx
import pytest
from django.contrib.auth.models import User

from files.ingestion.wakeup import wake
from files.models import Dataset, DatasetFile
from tenants.models import NO_KEY, UsageRecord
from tests import factories
from tests.admin.conftest import fields, url
from tests.answers import answer, error_body
from tests.browsing import Client
from tests.files.ingestion.helpers import embeddings, ended
from tests.waiting import eventually


@pytest.fixture
def shared(world, dataset):
    """The test's dataset, with a grant for the uploading key."""
    dataset.grants.create(key=world.key.row)
    return dataset


@pytest.fixture
def second(gateway, world, shared):
    """A client with another key, which may use the same dataset."""
    key = factories.key(world.tenant)
    shared.grants.create(key=key.row)
    headers = {"authorization": f"Bearer {key.plain}"}
    with httpx.Client(base_url=gateway.base_url, headers=headers, timeout=30, verify=False) as client:
        client.key = key.row
        yield client


def uploaded(client, dataset, text=b"The office opens at nine."):
    made = client.post(f"/datasets/{dataset.pk}/files", files={"file": ("notes.txt", text)})
    assert made.status_code == 200
    return DatasetFile.objects.get(dataset=dataset, file=made.json()["id"])


def booked(request_id, calls):
    """Wait for so many usage records of a file or dataset; returns their key ids, in order."""
    rows = UsageRecord.objects.filter(request_id=request_id, route="/embeddings").order_by("id")
    eventually(lambda: rows.count() >= calls)
    return list(rows.values_list("key_id", flat=True))


def test_attached_file_is_booked_to_the_key_that_attached_it(ingest, http, world, shared, second):
    [dataset_file] = ended(uploaded(http, shared))
    assert booked(dataset_file.file_id, 1) == [world.key.row.pk]
    other = factories.dataset(world.tenant, embedding="embedder", keys=[second.key])
    attached = second.post(f"/vector_stores/{other.pk}/files", json={"file_id": dataset_file.file_id})
    assert attached.status_code == 200
    [there] = ended(DatasetFile.objects.get(dataset=other, file=dataset_file.file_id))
    assert there.state == "ready"
    assert booked(dataset_file.file_id, 2) == [world.key.row.pk, second.key.pk]


@pytest.mark.parametrize("how", ["upload", "attach", "cut"])
def test_reprocessing_is_booked_to_the_key_that_requested_it(
    ingest, http, world, shared, second, upstream, embedder, how
):
    upstream.script(embedder.model, answer(error_body(), 400), embeddings())
    [dataset_file] = ended(uploaded(http, shared))
    assert dataset_file.state == "failed"
    store = f"/vector_stores/{shared.pk}"
    cut = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
    if how == "upload":
        assert uploaded(second, shared) == dataset_file
    elif how == "attach":
        assert second.post(f"{store}/files", json={"file_id": dataset_file.file_id}).status_code == 200
    else:
        body = {"file_ids": [dataset_file.file_id], "chunking_strategy": cut}
        assert second.post(f"{store}/file_batches", json=body).status_code == 200
    [dataset_file] = ended(dataset_file)
    assert dataset_file.state == "ready"
    assert booked(dataset_file.file_id, 2) == [world.key.row.pk, second.key.pk]


def test_reprocessing_by_an_operator_is_booked_to_no_key(ingest, http, world, shared, operator_at_the_admin):
    [dataset_file] = ended(uploaded(http, shared))
    operator_at_the_admin.post(url("files_datasetfile_again_page", dataset_file.pk), {"confirm": "yes"})
    assert ended(dataset_file)[0].state == "ready"
    assert booked(dataset_file.file_id, 2) == [world.key.row.pk, NO_KEY]


@pytest.fixture
def operator_at_the_admin():
    client = Client()
    client.force_login(User.objects.create_superuser(factories.unique("operator")))
    return client


@pytest.fixture
def other(world, upstream):
    """Another model, which the test's keys may call."""
    entry = factories.catalog(world.provider, "other", capabilities=["embed"])
    upstream.script(entry.model, embeddings(dimensions=5))
    return entry


def indexed_by(dataset, name):
    eventually(lambda: Dataset.objects.get(pk=dataset.pk).indexed_embedding == name)


def test_reindexing_is_booked_to_the_key_that_chose_the_model(
    ingest, http, world, shared, second, other, operator_at_the_admin
):
    ended(uploaded(http, shared))
    factories.grant(second.key, other)
    assert second.post(f"/datasets/{shared.pk}", json={"embedding": "other"}).status_code == 200
    indexed_by(shared, "other")
    # Setting the same model again changes nothing.
    assert http.post(f"/datasets/{shared.pk}", json={"embedding": "other"}).status_code == 200
    assert booked(shared.pk, 1) == [second.key.pk]

    address = url("files_dataset_change", shared.pk)
    form = fields(operator_at_the_admin.get(address))
    assert operator_at_the_admin.post(address, {**form, "keys": []}).status_code == 302
    assert Dataset.objects.get(pk=shared.pk).embedding_requested_by == second.key
    assert operator_at_the_admin.post(address, {**form, "embedding": "embedder"}).status_code == 302
    wake()
    indexed_by(shared, "embedder")
    assert booked(shared.pk, 2) == [second.key.pk, NO_KEY]


def test_new_dataset_of_a_client_is_booked_to_its_key(http, world):
    made = http.post("/datasets", json={"name": "mine"}).json()
    assert Dataset.objects.get(pk=made["id"]).embedding_requested_by == world.key.row
