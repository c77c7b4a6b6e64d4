"""Reprocessing of files, cancelling of batches, and wake-up messages."""

import signal
import threading

import pytest
import redis as redis_client
from django.db import transaction

from files.ingestion import wakeup
from files.ingestion.errors import MESSAGES
from files.ingestion.reprocess import cancel, reprocess
from files.models import Chunk, DatasetFile, FileBatch
from files.uploads import attach
from files.uploads.attach import Attachment
from gtapi.stack.redis import Redis
from tests import environment, factories
from tests.answers import answer, error_body
from tests.files.ingestion.helpers import embeddings, ended, state
from tests.waiting import eventually


def again(dataset_file):
    return reprocess(DatasetFile.objects.filter(pk=dataset_file.pk), None)


def test_failed_file_is_reprocessed(ingest, dataset, embedder, upstream):
    upstream.script(embedder.model, answer(error_body(), 400))
    [dataset_file] = ended(factories.upload(dataset, b"A passage."))
    assert dataset_file.state == "failed"
    upstream.script(embedder.model, embeddings())
    assert again(dataset_file)
    [dataset_file] = ended(dataset_file)
    assert (dataset_file.state, dataset_file.error_code, dataset_file.error_message) == ("ready", "", "")


def test_reprocessed_file_gets_new_chunks(ingest, dataset):
    [dataset_file] = ended(factories.upload(dataset, b"A passage."))
    before = set(Chunk.objects.filter(dataset_file=dataset_file).values_list("pk", flat=True))
    assert again(dataset_file)
    assert state(dataset_file).progress < 100
    ended(dataset_file)
    after = set(Chunk.objects.filter(dataset_file=dataset_file).values_list("pk", flat=True))
    assert len(after) == len(before)
    assert not after & before


def test_file_being_processed_is_not_reprocessed(ingest, dataset, gate):
    dataset_file = factories.upload(dataset, b"A passage.")
    gate.reached()
    before = state(dataset_file).lease
    assert not again(dataset_file)
    assert state(dataset_file).lease == before
    gate.open()
    assert ended(dataset_file)[0].state == "ready"


def test_file_being_processed_restarts_with_a_new_chunking_strategy(ingest, dataset, gate, world):
    dataset_file = factories.upload(dataset, b"The office opens at nine. " * 60, attributes={"a": 1})
    dataset.grants.create(key=world.key.row)
    gate.reached()
    static = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
    with transaction.atomic():
        attach.attach_files(dataset, world.key.row.pk, [Attachment(dataset_file.file_id, chunking=static)])
    assert state(dataset_file).chunking == static
    gate.open()
    [done] = ended(dataset_file)
    assert (done.state, done.chunking, done.attributes) == ("ready", static, {"a": 1})
    assert done.chunk_count == Chunk.objects.filter(dataset_file=dataset_file).count() > 1
    assert max(Chunk.objects.filter(dataset_file=dataset_file).values_list("tokens", flat=True)) <= 100


def test_cancelled_batch_stops_files_being_processed(ingest, dataset, gate):
    batch = FileBatch.objects.create(tenant=dataset.tenant, dataset=dataset)
    [done] = ended(factories.dataset_file(dataset, batch=batch))
    dataset_files = [factories.upload(dataset, f"Passage {n}.".encode(), batch=batch) for n in range(6)]
    gate.reached()
    assert cancel(batch) == 6
    assert {state(dataset_file).state for dataset_file in dataset_files} == {"cancelled"}
    gate.open()
    [later] = ended(factories.upload(dataset, b"The next one."))
    assert later.state == "ready"
    assert {state(dataset_file).state for dataset_file in dataset_files} == {"cancelled"}
    assert list(Chunk.objects.filter(dataset=dataset).values_list("dataset_file", flat=True)) == [later.pk]
    assert state(done).state == "ready"
    assert FileBatch.objects.get(pk=batch.pk).cancelled


@pytest.fixture
def broker(tmp_path_factory, settings):
    """A separate Redis."""
    folder = environment.ROOT / factories.unique("b")
    folder.mkdir(mode=0o700)
    with Redis(folder / "redis", folder) as server:
        settings.CELERY_BROKER_URL = server.url.replace("unix://", "redis+socket://").replace(
            "?db=", "?virtual_host="
        )
        yield server


@pytest.mark.parametrize("how", ["stopped", "silent"])
def test_publishing_fails_soon_if_the_broker_is_unavailable(broker, how):
    wakeup.publish()
    if how == "stopped":
        broker.stop()
    else:
        broker.process.send_signal(signal.SIGSTOP)
    failures = []

    def publish() -> None:
        try:
            wakeup.publish()
        except Exception as error:  # noqa: BLE001 - the client library decides which
            failures.append(error)

    publishing = threading.Thread(target=publish)
    publishing.start()
    publishing.join(30)
    if how == "silent":
        broker.process.send_signal(signal.SIGCONT)
    assert not publishing.is_alive()
    assert failures


def test_wake_returns_while_the_broker_is_silent(broker, caplog):
    waker = wakeup._Waker()
    broker.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(1000):
            waker.wake(wakeup.INGEST_QUEUE)
        eventually(lambda: "Workers cannot be woken" in caplog.text)
    finally:
        broker.process.send_signal(signal.SIGCONT)
    assert caplog.text.count("Workers cannot be woken") == 1


def test_messages_that_no_worker_takes_do_not_pile_up(broker, monkeypatch):
    monkeypatch.setattr(wakeup, "MAX_MESSAGES", 2)
    for _ in range(4):
        wakeup.publish(wakeup.OCR_QUEUE)
    with redis_client.Redis.from_url(broker.url) as client:
        assert client.llen(wakeup.OCR_QUEUE) == 2


def test_workers_are_woken_after_the_commit(monkeypatch):
    woken = []
    monkeypatch.setattr(wakeup._waker, "wake", woken.append)
    with transaction.atomic():
        wakeup.wake()
        assert woken == []
    assert woken == [wakeup.INGEST_QUEUE]


def test_every_error_code_is_documented():
    guide = (environment.CHECKOUT / "docs" / "files.md").read_text()
    assert {code for code in MESSAGES if f"`{code}`" not in guide} == set()
