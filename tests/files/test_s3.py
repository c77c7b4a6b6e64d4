"""Files in S3-compatible storage: clients notice no difference."""

import random
import subprocess
import sys
from base64 import b64decode
from contextlib import ExitStack

import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError
from django.core.files.storage import storages

from files.models import File, OrphanedBlob
from gtapi import s3
from tests import environment, factories
from tests.answers import answer as answered
from tests.bucket import Bucket
from tests.e2e.routes import PNG
from tests.wire import PLAIN, envelope

MEGABYTE = 1 << 20
TEXT = b"The office opens at nine."


@pytest.fixture(scope="module")
def store():
    with Bucket() as running:
        yield running


@pytest.fixture
def variables(store):
    return {
        "FILES_S3_BUCKET": "gateway-files",
        "FILES_S3_ENDPOINT_URL": store.url,
        "FILES_S3_REGION": "eu-central-1",
        "FILES_S3_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "FILES_S3_SECRET_ACCESS_KEY": "bucket-secret",
        "FILES_S3_ADDRESSING_STYLE": "path",
        "FILES_S3_PREFIX": "gateway",
    }


@pytest.fixture
def http(start_gateway, variables, world):
    gateway = start_gateway(**variables)
    with httpx.Client(
        base_url=gateway.base_url, headers=world.authorization, verify=False, timeout=60
    ) as client:
        yield client
    assert "bucket-secret" not in gateway.said()


def upload(http, data):
    return http.post("/files", data={"purpose": "assistants"}, files={"file": ("notes.txt", data)})


def test_files_are_stored_in_and_read_from_the_bucket(http, store, world):
    for data in (TEXT, bytes(range(256)) * (20 * 4096)):
        file = upload(http, data).json()
        path = f"gateway/{File.objects.get(pk=file['id']).path}"
        assert store.objects[path] == data
        content = http.get(f"/files/{file['id']}/content")
        assert content.content == data
        assert content.headers["content-length"] == str(len(data))
        assert http.delete(f"/files/{file['id']}").json()["deleted"]
        assert path not in store.objects
        envelope(http.get(f"/files/{file['id']}/content"), 404, "file_not_found")
    assert not OrphanedBlob.objects.filter(path__in=[path.removeprefix("gateway/")]).exists()
    assert all(said.startswith("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/") for said in store.authorizations)

    dataset = factories.dataset(world.tenant, keys=[world.key.row])
    file = http.post(f"/datasets/{dataset.pk}/files", files={"file": ("a.txt", TEXT)}).json()
    lost = f"gateway/{File.objects.get(pk=file['id']).path}"
    del store.objects[lost]
    envelope(http.get(f"/files/{file['id']}/content"), 404, "file_not_found")

    stored_file = upload(http, TEXT).json()
    store.failing = True
    try:
        before = File.objects.filter(tenant=world.tenant).count()
        for answer in (upload(http, b"Something else."), http.get(f"/files/{stored_file['id']}/content")):
            envelope(answer, 503, "service_unavailable")
            assert answer.headers["retry-after"] == "5"
        assert File.objects.filter(tenant=world.tenant).count() == before
    finally:
        store.failing = False
    assert http.get(f"/files/{stored_file['id']}/content").content == TEXT


def test_generated_image_is_served_from_the_bucket(http, store, world, upstream):
    painter = factories.catalog(world.provider, factories.unique("painter"), capabilities=["image"])
    factories.grant(world.key.row, painter)
    upstream.script(painter.model, answered({"created": 1790000000, "data": [{"b64_json": PNG}]}))
    asked = {"model": painter.name, "prompt": "A cat", "response_format": "url"}
    address = http.post("/images/generations", json=asked).json()["data"][0]["url"]
    assert PLAIN.get(address).content == b64decode(PNG)
    store.failing = True
    try:
        answer = PLAIN.get(address)
        envelope(answer, 503, "service_unavailable")
        assert answer.headers["retry-after"] == "5"
    finally:
        store.failing = False
    (path,) = [name for name in store.objects if name.startswith("gateway/images/")]
    del store.objects[path]
    envelope(PLAIN.get(address), 404, "not_found")


def test_slow_client_throttles_reads_from_the_bucket(http, store):
    data = bytes(range(256)) * (24 * 4096)
    file = upload(http, data).json()
    path = f"gateway/{File.objects.get(pk=file['id']).path}"
    # More than there are threads that move bytes: none of them waits for a client.
    with ExitStack() as slow:
        content = f"/files/{file['id']}/content"
        downloads = [slow.enter_context(http.stream("GET", content)).iter_raw(1024) for _ in range(10)]
        for parts in downloads:
            assert next(parts) == data[:1024]
        assert http.get(f"/files/{upload(http, TEXT).json()['id']}/content").content == TEXT
        assert store.sent[path] < len(downloads) * len(data) / 2
        assert b"".join(downloads[0]) == data[1024:]


def test_download_is_aborted_where_the_bucket_fails(http, store):
    data = bytes(24 * MEGABYTE)
    file = upload(http, data).json()
    with http.stream("GET", f"/files/{file['id']}/content") as answer:
        parts = answer.iter_raw(1024)
        next(parts)
        del store.objects[f"gateway/{File.objects.get(pk=file['id']).path}"]
        with pytest.raises(httpx.RemoteProtocolError):
            list(parts)


@pytest.fixture
def stored(http, store):
    """A file that no buffer holds: its address, its name in the bucket and its bytes."""
    data = random.Random(1).randbytes(24 * MEGABYTE)
    file = upload(http, data).json()
    yield f"/files/{file['id']}/content", f"gateway/{File.objects.get(pk=file['id']).path}", data
    store.breaking = 0


def test_aborted_bucket_response_is_resumed(http, store, stored):
    address, path, data = stored
    store.breaking = 2
    answer = http.get(address)
    assert (answer.status_code, answer.content) == (200, data)
    assert store.breaking == 0
    # Little is fetched twice.
    assert store.sent[path] < len(data) + 0.3 * MEGABYTE


def test_repeatedly_aborted_bucket_responses_fail_the_download(http, store, stored):
    address, path, _ = stored
    store.breaking = 1000
    before = store.requests.count(("GET", path))
    envelope(http.get(address), 503, "service_unavailable")
    assert store.requests.count(("GET", path)) - before == 3


def test_stalled_bucket_is_not_retried(store):
    store.objects["gateway/silent"] = bytes(MEGABYTE)
    silent = s3.S3FileStorage(
        bucket_name="gateway-files",
        endpoint_url=store.url,
        region_name="eu-central-1",
        access_key="AKIAEXAMPLE",
        secret_key="bucket-secret",
        addressing_style="path",
    )
    silent.client_config = silent.client_config.merge(Config(read_timeout=0.5))
    store.speaking.clear()
    try:
        with silent.open("gateway/silent") as file, pytest.raises(ReadTimeoutError):
            file.read()
    finally:
        store.speaking.set()
    assert store.requests.count(("GET", "gateway/silent")) == 1


@pytest.mark.parametrize("breaking", [0, 1])
def test_download_never_resumes_with_another_objects_bytes(http, store, stored, breaking):
    address, path, data = stored
    with http.stream("GET", address) as answer:
        parts = answer.iter_raw(1024)
        got = [next(parts)]
        store.objects[path] = data[::-1]
        store.breaking = breaking
        with pytest.raises(httpx.RemoteProtocolError):
            got.extend(parts)
    assert data.startswith(b"".join(got))


def test_settings_name_the_bucket(variables):
    code = (
        "import django; django.setup();"
        "from django.core.files.storage import default_storage as s;"
        "print(s.__class__.__name__, s.bucket_name, s.endpoint_url,"
        " s.region_name, s.location, s.client_config.s3['addressing_style'], s.access_key)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment.VARIABLES, **variables},
        cwd=environment.CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    url = variables["FILES_S3_ENDPOINT_URL"]
    assert done.stdout.split() == [
        "S3FileStorage",
        "gateway-files",
        url,
        "eu-central-1",
        "gateway",
        "path",
        "AKIAEXAMPLE",
    ]


def test_files_are_stored_in_a_folder_without_a_bucket():
    assert type(storages["default"]).__name__ == "FileSystemStorage"
