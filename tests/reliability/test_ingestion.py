"""Workers that are killed, a Redis that forgets or is gone, messages that come thrice, and a tenant with 10,000 files."""

import os
import signal
import time
from datetime import timedelta

import pytest
import redis as redis_client
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.db.models.functions import Now

from files.ingestion import claims
from files.ingestion.errors import PermanentError
from files.ingestion.wakeup import publish
from files.models import Dataset, DatasetFile, File
from tests import environment, factories
from tests.gateway import IngestProcess
from tests.reliability.conftest import NONE, Clock, faults, states, unfinished
from tests.waiting import eventually

pytestmark = pytest.mark.slow


#: A lease of 4 seconds is extended each second by who is alive, so one that ends sooner than this is a dead one's.
ALIVE = timedelta(seconds=2)


def up(worker: IngestProcess) -> bool:
    """Whether a worker is up; one that has ended is started again."""
    # The supervisor stops it if one of its processes is killed before it is ready.
    if not worker.is_running():
        worker.start()
    return worker.is_ready()


def at_work(victim: IngestProcess, dataset: Dataset) -> list[int]:
    """The processes of a worker's pool, once it is up and files are in the hands of the living."""
    leased = DatasetFile.objects.filter(dataset=dataset, lease_until__gt=Now() + ALIVE)
    eventually(lambda: up(victim) and victim.pool() and leased.exists(), 120)
    return victim.pool()


def test_fifty_workers_are_killed_during_two_hundred_uploads(workers, place, chance, record):
    kills, whole, clock = 50, 0, Clock()
    # Some files always wait, so that none of the kills meets workers that have nothing to do.
    with place.uploading(pause=0.1, waiting=12):
        for number in range(kills):
            time.sleep(chance.uniform(0.2, 1.2))
            victim = workers[number % 2]
            processes = at_work(victim, place.dataset)
            if chance.random() < 0.3:
                # The whole worker: its processes follow it, and its supervisor starts another one.
                victim.process.kill()
                victim.process.wait()
                victim.start()
                whole += 1
            else:
                os.kill(chance.choice(processes), signal.SIGKILL)
    place.upload_up_to(200)
    files = len(place.sent)
    for victim in workers:
        eventually(lambda victim=victim: up(victim), 120)
    eventually(lambda: not unfinished(place.dataset), 600)
    found, wrong = states(place.dataset), faults(place.dataset)
    deaths = sum(DatasetFile.objects.filter(dataset=place.dataset).values_list("worker_deaths", flat=True))
    record(
        f"{kills} `kill -9`s ({whole} of whole workers) while files are in work, during {files} uploads",
        f"{files} ready, 0 lost, 0 doubled chunks",
        f"{found}, {wrong}, {deaths} leases lost by a death, {clock}",
    )
    assert (found, wrong) == ({"ready": files}, NONE)


def test_redis_is_flushed_and_stopped_during_a_hundred_uploads(workers, place, record):
    clock = Clock()
    with place.uploading(pause=0.2) as going:
        with redis_client.Redis.from_url(environment.redis.url) as broker:
            for _ in range(3):
                eventually(lambda: states(place.dataset).get("ready", 0) > 0)
                broker.flushall()
                time.sleep(1)
        assert going.running()
        environment.redis.stop()
        try:
            before = len(place.sent)
            time.sleep(10)
            eventually(lambda: going.done() or len(place.sent) >= before + 10, 60)
            away = len(place.sent) - before
            assert going.running()
        finally:
            environment.redis.start()
            environment.redis.wait_ready()
    place.upload_up_to(110)
    files = len(place.sent)
    eventually(lambda: not unfinished(place.dataset), 600)
    found, wrong = states(place.dataset), faults(place.dataset)
    record(
        f"Redis flushed 3 times and stopped for 10 s during {files} uploads",
        f"{files} ready, nothing lost",
        f"{found}, {wrong}, {away} accepted while it was away, {clock}",
    )
    assert (found, wrong) == ({"ready": files}, NONE)


def test_each_message_comes_three_times(workers, place, record):
    files, clock = 60, Clock()
    for number in range(files):
        place.upload(number)
        for _ in range(3):
            publish()
    eventually(lambda: not unfinished(place.dataset), 300)
    found, wrong = states(place.dataset), faults(place.dataset)
    sent = [len(received.json["input"]) for received in place.received()]
    chunks = sum(DatasetFile.objects.filter(dataset=place.dataset).values_list("chunk_count", flat=True))
    record(
        f"each message of {files} uploads three times",
        "the same rows, each text embedded once",
        f"{found}, {wrong}, {chunks} chunks, {sum(sent)} texts embedded, {clock}",
    )
    assert (found, wrong) == ({"ready": files}, NONE)
    assert sum(sent) == chunks


def crowd(files: int) -> Dataset:
    """A dataset with so many tiny files that wait."""
    dataset = factories.dataset(factories.tenant())
    made = []
    for number in range(files):
        path = default_storage.save(f"crowd/{dataset.pk}/{number}", ContentFile(b"Tiny file %d." % number))
        digest = f"{number:064}"
        made.append(
            File(
                tenant=dataset.tenant, origin="dataset", purpose="assistants", filename=f"{number}.txt",
                bytes=15, sha256=digest, path=path,
            )
        )  # fmt: skip
    File.objects.bulk_create(made, batch_size=1000)
    DatasetFile.objects.bulk_create(
        [DatasetFile(tenant=dataset.tenant, dataset=dataset, file=file, digest=file.sha256) for file in made],
        batch_size=1000,
    )
    return dataset


def test_ten_thousand_files_of_one_tenant_do_not_delay_another_ones(workers, place, record):
    files = 10_000
    crowded = crowd(files)
    try:
        eventually(lambda: states(crowded).get("ready", 0) >= 20, 120)
        before, clock, start = states(crowded)["ready"], Clock(), time.monotonic()
        place.upload(1)
        eventually(lambda: not unfinished(place.dataset), 300)
        seconds = time.monotonic() - start
        after = states(crowded)["ready"]
        single = DatasetFile.objects.get(dataset=place.dataset)
        waited = (single.started_at - single.created_at).total_seconds()
        record(
            f"one file behind another tenant's {files - before:,}",
            "among the next few",
            f"number {after - before + 1} to be ready, begun after {waited:.1f} s, ready after {seconds:.1f} s",
        )
        assert states(place.dataset) == {"ready": 1}
        # The processes have other files in their hands when it comes: four each, two workers of two.
        assert after - before <= 20, str(clock)
    finally:
        DatasetFile.objects.filter(dataset=crowded).delete()


def rows_alone(each: int) -> Dataset:
    """A dataset with so many waiting files of which there is nothing but their rows: enough to be claimed."""
    dataset = factories.dataset(factories.tenant())
    file = factories.file(dataset.tenant)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO files_file (id, tenant_id, origin, purpose, filename, content_type, bytes, sha256, path,"
            " created_at) SELECT %s || n, tenant_id, origin, purpose, filename, '', 1, sha256, path || '/' || n,"
            " created_at FROM files_file, generate_series(1, %s) n WHERE id = %s",
            [file.pk[:20], each, file.pk],
        )
        if each > 1000:
            # So that the database finds the files by their index when it looks whether they are there.
            cursor.execute("ANALYZE files_file")
        cursor.execute(
            "INSERT INTO files_datasetfile (tenant_id, dataset_id, file_id, digest, attributes, state, stage,"
            " progress, error_code, error_message, attempts, worker_deaths, characters, tokens, chunk_count,"
            " created_at) SELECT %s, %s, id, '', '{}', 'uploaded', '', 0, '', '', 0, 0, 0, 0, 0,"
            " now() - interval '1 hour' FROM files_file WHERE tenant_id = %s",
            [dataset.tenant_id, dataset.pk, dataset.tenant_id],
        )
    return dataset


@pytest.mark.parametrize(("tenants", "each"), [(1, 10_000), (1_000, 100), (1, 100_000)])
def test_a_claim_stays_cheap(record, tenants, each):
    crowded = [rows_alone(each) for _ in range(tenants)]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE files_datasetfile")
    taken = []
    try:
        for _ in range(200):
            start = time.perf_counter()
            held = claims.claim()
            taken.append(time.perf_counter() - start)
            claims.fail(held, PermanentError("no_text"))
    finally:
        with connection.cursor() as cursor:
            ids = [dataset.tenant_id for dataset in crowded]
            cursor.execute("DELETE FROM files_datasetfile WHERE tenant_id = ANY(%s)", [ids])
    taken.sort()
    record(
        f"a claim among {each:,} waiting files of each of {tenants:,} tenants",
        "some ms",
        f"median {taken[100] * 1000:.1f} ms, 95 % within {taken[190] * 1000:.1f} ms",
    )
    assert taken[100] < 0.25
