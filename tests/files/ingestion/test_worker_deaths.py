"""Workers, extraction processes and Redis fail while a file is processed: it still becomes ready, once."""

import os
import signal

import redis as redis_client
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from files.ingestion.wakeup import publish, wake
from files.models import Chunk, ChunkVector, DatasetFile, DatasetGrant
from tests import environment, factories
from tests.files.ingestion.helpers import ended, extractions, state
from tests.waiting import eventually


def is_complete(dataset_file: DatasetFile) -> bool:
    """Return whether a file has each of its chunks once, and one vector for each."""
    chunks = list(Chunk.objects.filter(dataset_file=dataset_file).values_list("position", flat=True))
    vectors = ChunkVector.objects.filter(chunk__dataset_file=dataset_file, generation=1).count()
    return chunks == list(range(dataset_file.chunk_count)) and vectors == dataset_file.chunk_count > 0


def test_file_of_a_killed_worker_becomes_ready_once(ingest, dataset, gate):
    dataset_file = factories.upload(dataset, b"What survives is read again.")
    gate.reached()
    for child in ingest.pool():
        os.kill(child, signal.SIGKILL)
    gate.open()
    [dataset_file] = ended(dataset_file)
    assert (dataset_file.state, dataset_file.worker_deaths, dataset_file.attempts) == ("ready", 1, 0)
    assert is_complete(dataset_file)


def test_killed_extraction_process_costs_an_attempt(ingest, dataset):
    dataset_file = factories.upload(dataset, b"<p>A long page.</p>" * 200_000, filename="page.html")
    wake()
    eventually(lambda: [os.kill(child, signal.SIGKILL) for child in extractions(ingest)])
    eventually(lambda: state(dataset_file).attempts == 1)
    assert state(dataset_file).state == "processing"
    # A short file saves the time of extracting the long one.
    default_storage.delete(dataset_file.file.path)
    default_storage.save(dataset_file.file.path, ContentFile(b"<p>A short page.</p>"))
    [dataset_file] = ended(dataset_file)
    assert (dataset_file.state, dataset_file.attempts, dataset_file.worker_deaths) == ("ready", 1, 0)


def test_stopping_worker_releases_its_file(ingest, dataset, gate):
    dataset_file = factories.upload(dataset, b"Handed on and not lost.")
    gate.reached()
    ingest.process.send_signal(signal.SIGTERM)
    try:
        assert ingest.process.wait(30) == 0
        released = state(dataset_file)
    finally:
        ingest.start()
        ingest.wait_ready()
    assert (released.state, released.lease, released.worker_deaths) == ("processing", None, 0)
    gate.open()
    [dataset_file] = ended(dataset_file)
    assert (dataset_file.state, dataset_file.worker_deaths) == ("ready", 0)
    assert is_complete(dataset_file)


def test_repeated_messages_change_nothing(ingest, dataset):
    dataset_files = [factories.upload(dataset, f"Passage {n}.".encode()) for n in range(6)]
    for _ in range(3):
        for _ in dataset_files:
            publish()
    dataset_files = ended(*dataset_files)
    assert all(
        dataset_file.state == "ready" and is_complete(dataset_file) and dataset_file.worker_deaths == 0
        for dataset_file in dataset_files
    )
    assert Chunk.objects.filter(dataset=dataset).count() == 6


def test_flushed_redis_loses_no_file(ingest, dataset):
    broker = redis_client.Redis.from_url(environment.redis.url)
    before = factories.upload(dataset, b"Uploaded before.")
    broker.flushall()
    after = factories.upload(dataset, b"Uploaded afterwards.")
    broker.close()
    assert [dataset_file.state for dataset_file in ended(before, after, woken=False)] == ["ready", "ready"]


def test_files_uploaded_without_redis_become_ready_once_it_is_back(ingest, http, world, dataset):
    DatasetGrant.objects.create(key=world.key.row, dataset=dataset)
    environment.redis.stop()
    try:
        sent = [
            http.post(f"/datasets/{dataset.pk}/files", files={"file": (f"{n}.txt", b"Note %d." % n)})
            for n in range(3)
        ]
    finally:
        environment.redis.start()
        environment.redis.wait_ready()
    assert [answer.status_code for answer in sent] == [200, 200, 200]
    dataset_files = list(DatasetFile.objects.filter(dataset=dataset))
    assert [dataset_file.state for dataset_file in ended(*dataset_files, woken=False)] == ["ready"] * 3
    assert all(map(is_complete, map(state, dataset_files)))


def test_file_removed_during_processing_leaves_no_chunks(ingest, dataset, gate):
    dataset_file = factories.upload(dataset, b"Not wanted any more.")
    gate.reached()
    DatasetFile.objects.filter(pk=dataset_file.pk).delete()
    gate.open()
    [later] = ended(factories.upload(dataset, b"The next one."))
    assert later.state == "ready"
    assert list(Chunk.objects.filter(dataset=dataset).values_list("dataset_file", flat=True)) == [later.pk]


def test_dataset_deleted_during_processing_does_not_stop_the_worker(ingest, world, dataset, gate):
    dataset_file = factories.upload(dataset, b"Not wanted any more.")
    gate.reached()
    dataset.delete()
    gate.open()
    [later] = ended(factories.upload(factories.dataset(world.tenant, embedding="embedder"), b"The next one."))
    assert later.state == "ready"
    assert f"File {dataset_file.pk} could not be processed" not in ingest.said()
