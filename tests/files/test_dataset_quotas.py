"""Quotas of dataset files and of datasets created by clients."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from files.models import Dataset, DatasetFile, File
from tests import factories
from tests.wire import envelope


@pytest.fixture
def files(world):
    return [factories.file(world.tenant, origin=File.Origin.FILES, key=world.key.row).pk for _ in range(3)]


@pytest.fixture
def limited(start_gateway, world):
    """A client of a gateway that lets a tenant have files in datasets four times, and five datasets."""
    gateway = start_gateway(FILES_MAX_DATASET_FILES="4", FILES_MAX_DATASETS="5")
    with httpx.Client(
        base_url=gateway.base_url, headers=world.authorization, timeout=30, verify=False
    ) as client:
        yield client


def test_dataset_file_quota_is_enforced(limited, files, world):
    store = limited.post("/vector_stores", json={"file_ids": files}).json()
    assert store["file_counts"]["total"] == 3
    error = envelope(limited.post("/vector_stores", json={"file_ids": files}), 403, "file_limit_reached")
    assert "of 4" in error["message"]
    assert Dataset.objects.filter(tenant=world.tenant).count() == 1
    other = limited.post("/vector_stores", json={"file_ids": files[:1]}).json()
    single, batch = f"/vector_stores/{other['id']}/files", f"/vector_stores/{other['id']}/file_batches"
    envelope(limited.post(single, json={"file_id": files[1]}), 403, "file_limit_reached")
    envelope(limited.post(batch, json={"file_ids": files}), 403, "file_limit_reached")
    # What is there already takes no more room, and what is taken out gives room.
    assert limited.post(single, json={"file_id": files[0]}).status_code == 200
    assert limited.delete(f"/vector_stores/{store['id']}/files/{files[0]}").status_code == 200
    assert limited.post(single, json={"file_id": files[1]}).status_code == 200
    assert DatasetFile.objects.filter(tenant=world.tenant).count() == 4


def test_tenant_can_override_quotas(http, limited, files, world):
    world.tenant.max_dataset_files, world.tenant.max_datasets = 1, 2
    world.tenant.save()
    for client in (http, limited):
        error = envelope(client.post("/vector_stores", json={"file_ids": files}), 403, "file_limit_reached")
        assert "of 1" in error["message"]
        assert client.post("/vector_stores", json={}).status_code == 200
    error = envelope(http.post("/datasets", json={"name": "third"}), 403, "dataset_limit_reached")
    assert "of 2" in error["message"]
    # More than the installation's.
    world.tenant.max_dataset_files, world.tenant.max_datasets = 9, 9
    world.tenant.save()
    for _ in range(3):
        assert limited.post("/vector_stores", json={"file_ids": files}).status_code == 200
    world.tenant.max_dataset_files = 0
    world.tenant.save()
    envelope(limited.post("/vector_stores", json={"file_ids": files[:1]}), 403, "file_limit_reached")


def test_quotas_hold_for_concurrent_requests(limited, files, world):
    def make(number):
        return limited.post("/vector_stores", json={"file_ids": files[:1]} if number % 2 else {})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(make, range(16)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [403] * 11
    assert Dataset.objects.filter(tenant=world.tenant).count() == 5
    assert DatasetFile.objects.filter(tenant=world.tenant).count() <= 4


def test_dataset_quota_is_enforced(limited, world):
    for _ in range(2):
        factories.dataset(world.tenant, hidden=True)
    made = [factories.dataset(world.tenant) for _ in range(4)]
    assert limited.post("/datasets", json={"name": "fifth"}).status_code == 200
    error = envelope(limited.post("/datasets", json={"name": "sixth"}), 403, "dataset_limit_reached")
    assert "of 5" in error["message"]
    envelope(limited.post("/vector_stores", json={}), 403, "dataset_limit_reached")
    made[0].delete()
    assert limited.post("/vector_stores", json={}).status_code == 200
