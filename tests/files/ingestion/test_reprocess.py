"""What people order: a file once more, no more of a batch; and how workers are woken."""

import signal
import threading

import pytest
from django.db import transaction

from files.ingestion import wakeup
from files.ingestion.errors import SENTENCES
from files.ingestion.reprocess import cancel, process_again
from files.models import Chunk, DatasetFile, FileBatch
from files.uploads import attach
from files.uploads.attach import Attachment
from gtapi.stack.redis import Redis
from tests import environment, factories
from tests.answers import answer, error_body
from tests.files.ingestion.helpers import embeddings, ended, state
from tests.waiting import eventually


def again(dataset_file):
    return process_again(DatasetFile.objects.filter(pk=dataset_file.pk), None)


def test_file_that_failed_is_processed_again(ingest, dataset, embedder, upstream):
    upstream.script(embedder.model, answer(error_body(), 400))
    [dataset_file] = ended(factories.upload(dataset, b"A passage."))
    assert dataset_file.state == "failed"
    upstream.script(embedder.model, embeddings())
    assert again(dataset_file)
    [dataset_file] = ended(dataset_file)
    assert (dataset_file.state, dataset_file.error_code, dataset_file.error_message) == ("ready", "", "")


def test_file_that_is_ready_gets_its_chunks_anew(ingest, dataset):
    [dataset_file] = ended(factories.upload(dataset, b"A passage."))
    before = set(Chunk.objects.filter(dataset_file=dataset_file).values_list("pk", flat=True))
    assert again(dataset_file)
    assert state(dataset_file).progress < 100
    ended(dataset_file)
    after = set(Chunk.objects.filter(dataset_file=dataset_file).values_list("pk", flat=True))
    assert len(after) == len(before)
    assert not after & before


def test_file_in_work_is_left_alone(ingest, dataset, gate):
    dataset_file = factories.upload(dataset, b"A passage.")
    gate.reached()
    before = state(dataset_file).lease
    assert not again(dataset_file)
    assert state(dataset_file).lease == before
    gate.open()
    assert ended(dataset_file)[0].state == "ready"


def test_file_in_work_that_is_to_be_cut_in_another_way_is_cut_so(ingest, dataset, gate, world):
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


def test_cancelled_batch_stops_what_is_in_work_too(ingest, dataset, gate):
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
    """A Redis of the test's own."""
    folder = environment.ROOT / factories.unique("b")
    folder.mkdir(mode=0o700)
    with Redis(folder / "redis", folder) as server:
        settings.CELERY_BROKER_URL = server.url.replace("unix://", "redis+socket://").replace(
            "?db=", "?virtual_host="
        )
        yield server


@pytest.mark.parametrize("how", ["stopped", "silent"])
def test_waking_does_not_wait_for_a_broker_that_is_away(broker, how):
    wakeup.publish()
    if how == "stopped":
        broker.stop()
    else:
        broker.process.send_signal(signal.SIGSTOP)
    failures = []

    def publish() -> None:
        try:
            wakeup.publish()
        except Exception as error:  # noqa: BLE001 - what it is, is the client's business
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
            waker.wake()
        eventually(lambda: "ingestion is not woken" in caplog.text)
    finally:
        broker.process.send_signal(signal.SIGCONT)
    assert caplog.text.count("ingestion is not woken") == 1


def test_nobody_is_woken_for_what_is_not_committed(monkeypatch):
    woken = []
    monkeypatch.setattr(wakeup._waker, "wake", lambda: woken.append(True))
    with transaction.atomic():
        wakeup.wake()
        assert woken == []
    assert woken == [True]


def test_every_reason_to_fail_is_explained():
    guide = (environment.CHECKOUT / "docs" / "files.md").read_text()
    assert {code for code in SENTENCES if f"`{code}`" not in guide} == set()
