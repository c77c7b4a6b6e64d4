"""Storage quotas and file size limits of tenants, also for concurrent uploads."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import pytest
from django.conf import settings

from files.models import File
from tests import factories
from tests.wire import RawClient, envelope

MEGABYTE = 1 << 20


@pytest.fixture
def limit(world):
    """Sets the tenant's limits."""

    def put(**limits):
        for name, value in limits.items():
            setattr(world.tenant, name, value)
        world.tenant.save()

    return put


def upload(http, data, name="a.txt", **headers):
    return http.post("/files", data={"purpose": "assistants"}, files={"file": (name, data)}, headers=headers)


def test_tenant_limits_the_file_size(http, limit):
    limit(max_file_bytes=1000)
    assert upload(http, b"x" * 1000).status_code == 200
    error = envelope(upload(http, b"x" * 1001), 413, "request_too_large")
    assert "1,000 bytes" in error["message"]


def test_installation_limit_is_the_default(start_gateway, world):
    gateway = start_gateway(FILES_MAX_BYTES="2000", FILES_MAX_COUNT="2", FILES_MAX_STORED_BYTES="3000")
    with httpx.Client(base_url=gateway.base_url, headers=world.authorization, verify=False) as http:
        error = envelope(upload(http, b"x" * 2001), 413, "request_too_large")
        assert "2,000 bytes" in error["message"]
        assert upload(http, b"x" * 2000).status_code == 200
        error = envelope(upload(http, b"y" * 1001), 403, "storage_limit_reached")
        assert "3,000 bytes" in error["message"]
        assert upload(http, b"y" * 1000).status_code == 200
        error = envelope(upload(http, b"z"), 403, "file_limit_reached")
        assert "2" in error["message"]


def test_deleting_a_file_frees_quota(http, limit):
    limit(max_files=1)
    file = upload(http, b"one").json()
    envelope(upload(http, b"two"), 403, "file_limit_reached")
    http.delete(f"/files/{file['id']}")
    assert upload(http, b"two").status_code == 200


def test_duplicate_content_uses_no_quota(http, limit, world):
    dataset = factories.dataset(world.tenant, keys=[world.key.row])
    limit(max_files=1)
    first = http.post(f"/datasets/{dataset.pk}/files", files={"file": ("a.txt", b"one")})
    again = http.post(f"/datasets/{dataset.pk}/files", files={"file": ("a.txt", b"one")})
    assert again.json()["id"] == first.json()["id"]


@pytest.mark.parametrize("limits", [{"max_files": 3}, {"max_stored_bytes": 3 * 1000}], ids=["count", "bytes"])
def test_quotas_hold_for_concurrent_uploads(http, limit, limits, world):
    limit(**limits)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: upload(http, bytes([n]) * 1000), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [403] * 5
    assert File.objects.filter(tenant=world.tenant).count() == 3


def test_refused_upload_leaves_no_bytes(http, limit):
    def stored():
        return {path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()}

    limit(max_files=0)
    before = stored()
    envelope(upload(http, b"one"), 403, "file_limit_reached")
    assert stored() == before


def test_oversized_content_length_is_refused_before_the_body(gateway, world, limit):
    limit(max_file_bytes=1000)
    client = RawClient(gateway.port, world.authorization["authorization"])
    head = client.head(100 * MEGABYTE, "/api/tenant/files", "multipart/form-data; boundary=x")
    client.socket.sendall(head)
    assert b"request_too_large" in client.read_until(b"}}")
    client.leave()


def test_oversized_chunked_body_is_refused(gateway, world, limit):
    limit(max_file_bytes=1000)
    client = RawClient(gateway.port, world.authorization["authorization"])
    head = client.head(0, "/api/tenant/files", "multipart/form-data; boundary=x")
    client.socket.sendall(head.replace(b"content-length: 0", b"transfer-encoding: chunked"))
    begin = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    client.socket.sendall(b"%x\r\n%s\r\n" % (len(begin), begin))
    piece = b"400\r\n" + b"x" * 1024 + b"\r\n"
    for _ in range(2):
        client.socket.sendall(piece)
    assert b"request_too_large" in client.read_until(b"}}")
    client.leave()


def test_sdk_gets_the_response_while_it_is_still_sending(client, limit):
    limit(max_file_bytes=MEGABYTE)
    with pytest.raises(openai.APIStatusError) as caught:
        client.files.create(file=("big.bin", bytes(50 * MEGABYTE)), purpose="assistants")
    assert (caught.value.status_code, caught.value.code) == (413, "request_too_large")


def test_form_fields_count_towards_the_limit(http, limit):
    limit(max_file_bytes=1000)
    data = {"purpose": "assistants", "more": "x" * (2 * MEGABYTE)}
    answer = http.post("/files", data=data, files={"file": ("a.txt", b"A")})
    envelope(answer, 413, "request_too_large")
