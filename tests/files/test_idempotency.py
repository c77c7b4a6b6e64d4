"""``Idempotency-Key``: a repeated upload creates no second file."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import openai
import pytest
from django.utils import timezone

from files.models import File, UploadKey
from tests import factories
from tests.wire import PLAIN, envelope


@pytest.fixture
def dataset(world):
    return factories.dataset(world.tenant, keys=[world.key.row])


def upload(http, key, data=b"one", name="a.txt", purpose="assistants", path="/files"):
    form = {"data": {"purpose": purpose}} if path == "/files" else {}
    return http.post(path, files={"file": (name, data)}, headers={"idempotency-key": key}, **form)


def test_repeated_upload_gets_the_same_response(http, world):
    first, again = upload(http, "k1"), upload(http, "k1")
    assert (again.status_code, again.json()) == (200, first.json())
    assert upload(http, "k2").json()["id"] != first.json()["id"]
    assert File.objects.filter(tenant=world.tenant).count() == 2


@pytest.mark.parametrize(
    "change", [{"data": b"two"}, {"name": "b.txt"}, {"purpose": "vision"}, {"path": "dataset"}]
)
def test_different_upload_with_the_same_key_is_409(http, dataset, change):
    if "path" in change:
        change = {"path": f"/datasets/{dataset.pk}/files"}
    upload(http, "k1")
    refused = upload(http, "k1", **change)
    envelope(refused, 409, "idempotency_conflict")
    assert refused.headers["x-should-retry"] == "false"
    assert upload(http, "k1").status_code == 200


def test_sdk_does_not_retry_a_conflict(client, world):
    client = client.with_options(max_retries=2)
    headers = {"Idempotency-Key": "k1"}
    client.files.create(file=("a.txt", b"one"), purpose="assistants", extra_headers=headers)
    with pytest.raises(openai.ConflictError) as caught:
        client.files.create(file=("a.txt", b"two"), purpose="assistants", extra_headers=headers)
    assert caught.value.request.headers["x-stainless-retry-count"] == "0"


def test_concurrent_uploads_create_one_file(http, world):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: upload(http, "k1"), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert File.objects.filter(tenant=world.tenant).count() == 1


def test_concurrent_uploads_of_the_same_content_create_one_file(http, world, dataset):
    def send(_):
        return http.post(f"/datasets/{dataset.pk}/files", files={"file": ("a.txt", b"one")})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert dataset.dataset_files.count() == 1


def test_idempotency_key_of_duplicate_content_is_used(http, dataset):
    path = f"/datasets/{dataset.pk}/files"
    file = http.post(path, files={"file": ("a.txt", b"one")}).json()
    assert upload(http, "k1", path=path).json()["id"] == file["id"]
    envelope(upload(http, "k1", b"two", path=path), 409, "idempotency_conflict")


def test_idempotency_key_is_scoped_to_the_inference_key(http, world, gateway):
    file = upload(http, "k1").json()
    other = factories.key(world.tenant)
    answer = PLAIN.post(
        f"{gateway.base_url}/files",
        data={"purpose": "assistants"},
        files={"file": ("a.txt", b"two")},
        headers={"authorization": f"Bearer {other.plain}", "idempotency-key": "k1"},
    )
    assert answer.status_code == 200
    assert answer.json()["id"] != file["id"]


def test_idempotency_key_is_free_after_a_day(http, world):
    upload(http, "k1")
    used = UploadKey.objects.filter(key=world.key.row)
    used.update(created_at=timezone.now() - timedelta(hours=23))
    envelope(upload(http, "k1", b"two"), 409, "idempotency_conflict")
    used.update(created_at=timezone.now() - timedelta(hours=25))
    assert upload(http, "k1", b"two").status_code == 200


def test_idempotency_key_is_free_after_its_file_is_deleted(http):
    file = upload(http, "k1").json()
    http.delete(f"/files/{file['id']}")
    assert upload(http, "k1").json()["id"] != file["id"]


def test_idempotency_key_that_is_too_long_is_refused(http):
    assert upload(http, "k" * 255).status_code == 200
    envelope(upload(http, "k" * 256), 400, "invalid_value")
