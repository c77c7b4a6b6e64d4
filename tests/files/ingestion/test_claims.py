"""Claims, leases, fairness between tenants and retries. All rows are rolled back."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from files.chunking import TextChunk
from files.extraction import Section
from files.ingestion import claims, commit, pipeline, vector_generations
from files.ingestion.claims import Claim, LeaseLost
from files.ingestion.errors import PermanentError, TransientError
from files.ingestion.vector_generations import IndexLease
from files.models import Chunk, Dataset, DatasetFile, File
from tenants.models import Tenant
from tests import factories
from tests.files.ingestion.helpers import state

pytestmark = pytest.mark.django_db


def waiting(dataset: Dataset, files: int) -> list[DatasetFile]:
    """Files that have been waiting for an hour, the first one longest."""
    an_hour_ago = timezone.now() - timedelta(hours=1)
    return [
        factories.dataset_file(
            dataset, state="uploaded", progress=0, created_at=an_hour_ago + timedelta(seconds=number)
        )
        for number in range(files)
    ]


def claim(*tenants: Tenant, ocr: bool = False) -> Claim | None:
    """The next claim among these tenants."""
    others = Tenant.objects.exclude(pk__in=[tenant.pk for tenant in tenants])
    return claims.claim(list(others.values_list("pk", flat=True)), ocr=ocr)


def to_index(tenant: Tenant, *ids: str, **fields) -> None:
    """Datasets of these ids that want another model; of one tenant's, they come in the order of their ids."""
    for each in ids:
        factories.dataset(tenant, id=each, **fields)
    Dataset.objects.filter(pk__in=ids).update(embedding="another")


def claim_index(*tenants: Tenant) -> IndexLease | None:
    """The next claim of a dataset among these tenants; what is in the way is kept."""
    of = {tenant.pk for tenant in tenants}
    return next((index for index in iter(vector_generations.claim, None) if index.tenant_id in of), None)


def pass_time(dataset_file: DatasetFile) -> None:
    """Let its lease and its wait run out."""
    ago = timezone.now() - timedelta(seconds=60)
    DatasetFile.objects.filter(pk=dataset_file.pk, lease_until__isnull=False).update(lease_until=ago)
    DatasetFile.objects.filter(pk=dataset_file.pk, retry_at__isnull=False).update(retry_at=ago)


@pytest.fixture
def tenant():
    return factories.tenant()


@pytest.fixture
def dataset_file(tenant):
    return waiting(factories.dataset(tenant), 1)[0]


def test_oldest_file_is_claimed_first_and_each_once(tenant):
    dataset_files = waiting(factories.dataset(tenant), 3)
    claimed = [claim(tenant) for _ in range(4)]
    assert [one and one.dataset_file_id for one in claimed] == [
        *(dataset_file.pk for dataset_file in dataset_files),
        None,
    ]


def test_tenant_with_many_files_does_not_delay_others():
    crowded, small, third = (factories.tenant() for _ in range(3))
    waiting(factories.dataset(crowded), 10)
    order = []

    def next_one() -> int:
        taken = claim(crowded, small, third)
        order.append(taken.tenant_id)
        return taken

    next_one(), next_one()
    waiting(factories.dataset(small), 2)
    waiting(factories.dataset(third), 1)
    for _ in range(4):
        next_one()
    assert set(order[2:4]) == {small.pk, third.pk}
    assert order[4:] == [small.pk, crowded.pk]


def test_tenants_with_equally_many_files_in_processing_take_turns():
    tenants = [factories.tenant() for _ in range(3)]
    for tenant in tenants:
        waiting(factories.dataset(tenant), 3)
    order = []
    for _ in range(6):
        taken = claim(*tenants)
        order.append(taken.tenant_id)
        claims.fail(taken, PermanentError("no_text"))
    assert order[:3] == order[3:]
    assert len(set(order[:3])) == 3


def test_tenant_with_many_datasets_to_index_does_not_delay_others():
    crowded, small, third = (factories.tenant() for _ in range(3))
    to_index(crowded, *(f"ds_a{n}" for n in range(9)))
    assert [claim_index(crowded).dataset_id for _ in range(2)] == ["ds_a0", "ds_a1"]
    to_index(small, "ds_b1", "ds_b2")
    # The dataset of a conversation waits for others of the same tenant, and not for those of another tenant.
    to_index(third, "ds_c1", "ds_c2", hidden=True)
    to_index(third, "ds_c3")
    order = [claim_index(crowded, small, third).dataset_id for _ in range(6)]
    assert set(order[:2]) == {"ds_b1", "ds_c3"}
    assert set(order[2:4]) == {"ds_b2", "ds_c1"}
    # Each of the three is now processing two.
    assert set(order[4:]) == {"ds_a2", "ds_c2"}


def test_tenants_with_equally_many_datasets_in_processing_take_turns():
    tenants = [factories.tenant() for _ in range(3)]
    for tenant in tenants:
        to_index(tenant, *(f"ds_{tenant.pk}{n}" for n in range(3)))
    order = []
    for _ in range(6):
        index = claim_index(*tenants)
        order.append(index.tenant_id)
        vector_generations.release(index, complete=True)
    assert order[:3] == order[3:]
    assert len(set(order[:3])) == 3


def test_turns_with_files_and_with_datasets_are_separate():
    """Otherwise a tenant that uploads continuously would never be reindexed."""
    uploading, other = factories.tenant(), factories.tenant()
    to_index(other, "ds_a")
    vector_generations.release(claim_index(other), complete=True)
    to_index(uploading, "ds_b")
    waiting(factories.dataset(uploading), 1)
    claims.fail(claim(uploading), PermanentError("no_text"))
    assert claim_index(uploading, other).dataset_id == "ds_b"


def test_file_that_needs_ocr_is_claimed_from_the_ocr_queue_only(tenant):
    scan, text = waiting(factories.dataset(tenant), 2)
    claims.hand_to_ocr(claim(tenant))
    assert claims.is_due(ocr=True)
    assert claim(tenant).dataset_file_id == text.pk
    assert claim(tenant) is None
    claimed = claim(tenant, ocr=True)
    assert (claimed.dataset_file_id, claimed.ocr) == (scan.pk, True)
    assert claim(tenant, ocr=True) is None
    assert (state(scan).attempts, state(scan).worker_deaths) == (0, 0)


def test_tenants_take_turns_in_the_ocr_queue():
    crowded, small = factories.tenant(), factories.tenant()
    waiting(factories.dataset(crowded), 4)
    for _ in range(4):
        claims.hand_to_ocr(claim(crowded))
    waiting(factories.dataset(small), 1)
    claims.hand_to_ocr(claim(small))
    assert {claim(crowded, small, ocr=True).tenant_id for _ in range(2)} == {crowded.pk, small.pk}


def test_files_of_an_inactive_tenant_wait(tenant, dataset_file):
    Tenant.objects.filter(pk=tenant.pk).update(active=False)
    assert claim(tenant) is None
    Tenant.objects.filter(pk=tenant.pk).update(active=True)
    assert claim(tenant).dataset_file_id == dataset_file.pk


def test_worker_that_lost_its_lease_writes_nothing(tenant, dataset_file):
    late = claim(tenant)
    pass_time(dataset_file)
    current = claim(tenant)
    before = state(dataset_file)
    assert (before.worker_deaths, before.lease) == (1, current.lease)
    assert claims.extend([late, current]) == {current}
    before = state(dataset_file)
    claims.fail(late, PermanentError("no_text"))
    claims.retry_later(late, TransientError("extraction_failed"))
    claims.release(late)
    with pytest.raises(LeaseLost):
        claims.report(late, "embedding", 50)
    with pytest.raises(LeaseLost):
        commit.store(late, dataset_file.dataset, [TextChunk("text", 1, None, "")], [])
    after = state(dataset_file)
    assert vars(after) | {"_state": None} == vars(before) | {"_state": None}
    assert not Chunk.objects.filter(dataset_file=dataset_file).exists()


def test_three_failed_attempts_fail_the_file(tenant, dataset_file):
    for attempt in (1, 2, 3):
        assert state(dataset_file).state != "failed"
        claims.retry_later(claim(tenant), TransientError("file_too_complex", "It takes too long."))
        assert claim(tenant) is None  # not before its time
        assert state(dataset_file).attempts == attempt
        pass_time(dataset_file)
    failed = state(dataset_file)
    assert (failed.state, failed.error_code, failed.error_message) == (
        "failed", "file_too_complex", "It takes too long.",
    )  # fmt: skip
    assert (failed.worker_deaths, failed.provider_errors, failed.lease) == (0, 0, None)
    assert claim(tenant) is None


def test_ten_dead_workers_fail_the_file(tenant, dataset_file):
    for _ in range(10):
        assert claim(tenant) is not None
        pass_time(dataset_file)
    assert claim(tenant) is None
    failed = state(dataset_file)
    assert (failed.state, failed.error_code, failed.worker_deaths) == ("failed", "worker_lost", 10)
    assert failed.attempts == 0
    assert failed.error_message


def test_failing_provider_is_retried_for_about_an_hour(tenant, dataset_file):
    waited = timedelta()
    for count in range(1, claims.MAX_PROVIDER_ERRORS):
        claims.retry_later(claim(tenant), TransientError("embedding_unavailable", provider=True))
        waiting_now = state(dataset_file)
        assert (waiting_now.provider_errors, waiting_now.attempts, waiting_now.lease) == (count, 0, None)
        waited += waiting_now.retry_at - timezone.now()
        pass_time(dataset_file)
    assert timedelta(minutes=35) < waited < timedelta(minutes=80)
    claims.retry_later(claim(tenant), TransientError("embedding_unavailable", provider=True))
    assert (state(dataset_file).state, state(dataset_file).error_code) == ("failed", "embedding_unavailable")


def test_retry_waits_as_long_as_the_provider_asks(tenant, dataset_file):
    claims.retry_later(claim(tenant), TransientError("embedding_unavailable", provider=True, after=200))
    assert state(dataset_file).retry_at - timezone.now() > timedelta(seconds=150)


def test_progress_does_not_decrease(tenant, dataset_file):
    held = claim(tenant)
    for progress in (40, 60, 5):
        claims.report(held, "embedding", progress)
    assert state(dataset_file).progress == 60


def test_claim_of_a_dataset_uses_its_partial_index():
    with connection.cursor() as cursor:
        # Of the ways to read the table that are left, that by the smallest index that serves.
        for way in ("seqscan", "nestloop", "mergejoin"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
        cursor.execute(f"EXPLAIN {vector_generations.CLAIM}", [uuid4(), 30])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "files_dataset_to_index" in plan


def test_characters_that_cannot_be_stored_are_replaced(tenant, dataset_file):
    held = claim(tenant)
    cut = pipeline.split_sections(
        [Section("A NUL \0 and half a pair \ud800.", heading="\0" * 400)], dataset_file
    )
    commit.store(held, dataset_file.dataset, cut, [])
    assert "and half a pair" in Chunk.objects.get(dataset_file=dataset_file).text
    assert state(dataset_file).state == "ready"


def test_claim_uses_the_index_of_unfinished_files(tenant):
    """A claim reads only the first waiting row of each tenant, however many files are finished."""
    dataset = factories.dataset(tenant)
    waiting(dataset, 3)
    files = [
        File(tenant=tenant, origin="dataset", purpose="x", bytes=1, path=f"plan/{n}") for n in range(2000)
    ]
    File.objects.bulk_create(files)
    DatasetFile.objects.bulk_create(
        DatasetFile(tenant=tenant, dataset=dataset, file=file, state="ready") for file in files
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE files_datasetfile")
        for statement, values in (
            (claims.NEXT_TENANTS, {"skipped_tenants": [], "ocr": False}),
            (claims.CLAIM, {"lease": uuid4(), "seconds": 30, "tenant": tenant.pk, "ocr": True}),
        ):
            cursor.execute(f"EXPLAIN {statement}", values)
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "files_datasetfile_due" in plan
            assert "files_datasetfile_tenant_id" not in plan
