"""What dies while a file is in work, and what comes of the file: it becomes ready, once."""

import os
import signal

import redis as redis_client
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from files.ingestion.wakeup import publish, wake
from files.models import Chunk, ChunkVector, DatasetFile, DatasetGrant
from tests import environment, factories
from tests.files.ingestion.helpers import ended, readers, state
from tests.waiting import eventually


def whole(place: DatasetFile) -> bool:
    """Whether a file has each of its chunks once, and one vector for each."""
    chunks = list(Chunk.objects.filter(place=place).values_list("position", flat=True))
    vectors = ChunkVector.objects.filter(chunk__place=place, generation=1).count()
    return chunks == list(range(place.chunk_count)) and vectors == place.chunk_count > 0


def test_file_of_a_killed_worker_becomes_ready_once(ingest, dataset, gate):
    place = factories.upload(dataset, b"What survives is read again.")
    gate.reached()
    for child in ingest.pool():
        os.kill(child, signal.SIGKILL)
    gate.open()
    [place] = ended(place)
    assert (place.state, place.worker_deaths, place.attempts) == ("ready", 1, 0)
    assert whole(place)


def test_reading_process_that_dies_costs_an_attempt_and_no_worker(ingest, dataset):
    place = factories.upload(dataset, b"<p>A long page.</p>" * 200_000, filename="page.html")
    wake()
    eventually(lambda: [os.kill(child, signal.SIGKILL) for child in readers(ingest)])
    eventually(lambda: state(place).attempts == 1)
    assert state(place).state == "processing"
    # It need not be read to its end for this.
    default_storage.delete(place.file.path)
    default_storage.save(place.file.path, ContentFile(b"<p>A short page.</p>"))
    [place] = ended(place)
    assert (place.state, place.attempts, place.worker_deaths) == ("ready", 1, 0)


def test_worker_that_is_asked_to_stop_gives_the_file_back(ingest, dataset, gate):
    place = factories.upload(dataset, b"Handed on and not lost.")
    gate.reached()
    ingest.process.send_signal(signal.SIGTERM)
    try:
        assert ingest.process.wait(30) == 0
        given_back = state(place)
    finally:
        ingest.start()
        ingest.wait_ready()
    assert (given_back.state, given_back.lease, given_back.worker_deaths) == ("processing", None, 0)
    gate.open()
    [place] = ended(place)
    assert (place.state, place.worker_deaths) == ("ready", 0)
    assert whole(place)


def test_message_that_comes_three_times_changes_nothing(ingest, dataset):
    places = [factories.upload(dataset, f"Passage {n}.".encode()) for n in range(6)]
    for _ in range(3):
        for _ in places:
            publish()
    places = ended(*places)
    assert all(place.state == "ready" and whole(place) and place.worker_deaths == 0 for place in places)
    assert Chunk.objects.filter(dataset=dataset).count() == 6


def test_flushed_redis_loses_no_file(ingest, dataset):
    broker = redis_client.Redis.from_url(environment.redis.url)
    before = factories.upload(dataset, b"Uploaded before.")
    broker.flushall()
    after = factories.upload(dataset, b"Uploaded afterwards.")
    broker.close()
    assert [place.state for place in ended(before, after, woken=False)] == ["ready", "ready"]


def test_uploads_while_redis_is_away_are_ready_once_it_is_back(ingest, http, world, dataset):
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
    places = list(DatasetFile.objects.filter(dataset=dataset))
    assert [place.state for place in ended(*places, woken=False)] == ["ready"] * 3
    assert all(map(whole, map(state, places)))


def test_file_that_is_taken_out_meanwhile_leaves_nothing(ingest, dataset, gate):
    place = factories.upload(dataset, b"Not wanted any more.")
    gate.reached()
    DatasetFile.objects.filter(pk=place.pk).delete()
    gate.open()
    [later] = ended(factories.upload(dataset, b"The next one."))
    assert later.state == "ready"
    assert list(Chunk.objects.filter(dataset=dataset).values_list("place", flat=True)) == [later.pk]


def test_dataset_that_is_deleted_meanwhile_stops_nobody(ingest, world, dataset, gate):
    place = factories.upload(dataset, b"Not wanted any more.")
    gate.reached()
    dataset.delete()
    gate.open()
    [later] = ended(factories.upload(factories.dataset(world.tenant, embedding="embedder"), b"The next one."))
    assert later.state == "ready"
    assert f"file {place.pk} could not be processed" not in ingest.said()
