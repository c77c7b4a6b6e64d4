"""Revoking a key, its scope or a grant during an upload."""

import httpx
import pytest

from files.models import File
from tests import factories
from tests.wire import envelope

HEAD = (
    b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
)
TAIL = b"\r\n--x--\r\n"
#: More than sockets hold, so that the gateway is reading the body, and has let the key in, when it has been sent.
BLOCK, BLOCKS = bytes(1 << 20), 24


@pytest.fixture
def dataset(world):
    return factories.dataset(world.tenant, keys=[world.key.row])


@pytest.fixture
def upload(http, world, dataset):
    """Uploads into the dataset, and does something when most of the body has been sent."""

    def send(halfway, path=None, **headers: str) -> httpx.Response:
        def body():
            yield HEAD
            for _ in range(BLOCKS):
                yield BLOCK
            halfway()
            yield TAIL

        return http.post(
            path or f"/datasets/{dataset.pk}/files",
            content=body(),
            headers={"content-type": "multipart/form-data; boundary=x", **headers},
        )

    return send


def test_permitted_upload_is_stored(upload, dataset):
    assert upload(lambda: None).status_code == 200
    assert dataset.dataset_files.count() == 1


@pytest.mark.parametrize("path", [None, "/files"], ids=["dataset", "file"])
def test_revoked_key_stores_nothing(upload, world, path):
    envelope(upload(world.key.row.revoke, path), 401, "invalid_api_key")
    assert not File.objects.filter(tenant=world.tenant).exists()


def test_inactive_tenant_stores_nothing(upload, world):
    def out_of_use():
        world.tenant.active = False
        world.tenant.save()

    envelope(upload(out_of_use), 401, "invalid_api_key")
    assert not File.objects.filter(tenant=world.tenant).exists()


@pytest.mark.parametrize("path", [None, "/files"], ids=["dataset", "file"])
def test_key_that_lost_its_scope_stores_nothing(upload, world, path):
    def restrict():
        world.key.row.scopes = factories.scopes_without("files:write")
        world.key.row.save()

    error = envelope(upload(restrict, path), 403, "insufficient_scope")
    assert "'files:write'" in error["message"]
    assert not File.objects.filter(tenant=world.tenant).exists()


@pytest.mark.parametrize("scope", ["files:write", "conversations:write"])
def test_key_that_lost_a_conversation_scope_stores_nothing(upload, world, scope):
    thread = factories.conversation(world.key)

    def restrict():
        world.key.row.scopes = factories.scopes_without(scope)
        world.key.row.save()

    response = upload(restrict, "/conversations/files", **{"x-gt-conversation-id": thread.pk})
    assert f"'{scope}'" in envelope(response, 403, "insufficient_scope")["message"]
    assert not File.objects.filter(tenant=world.tenant).exists()


def test_key_that_lost_its_grant_stores_nothing(upload, world, dataset):
    error = envelope(upload(lambda: dataset.grants.all().delete()), 404, "dataset_not_found")
    assert dataset.pk in error["message"]
    assert not File.objects.filter(tenant=world.tenant).exists()
