"""Uploads while storage fails: a full disk, or an unreachable bucket."""

import pytest

from files.models import File
from tests import factories
from tests.answers import answer as answered
from tests.e2e.routes import PNG
from tests.wire import PLAIN, envelope


@pytest.fixture
def gateway(start_gateway, tmp_path):
    """One whose folder for files cannot be made."""
    (tmp_path / "disk").touch()
    return start_gateway(MEDIA_ROOT=str(tmp_path / "disk" / "media"))


def test_storage_failure_is_503_and_leaves_nothing(gateway, upstream, world):
    answer = PLAIN.post(
        f"{gateway.base_url}/files",
        data={"purpose": "assistants"},
        files={"file": ("notes.txt", b"The office opens at nine.")},
        headers={**world.authorization, "idempotency-key": "once"},
    )
    envelope(answer, 503, "service_unavailable")
    assert not File.objects.filter(tenant=world.tenant).exists()

    painter = factories.catalog(world.provider, factories.unique("painter"), capabilities=["image"])
    factories.grant(world.key.row, painter)
    upstream.script(painter.model, answered({"created": 1790000000, "data": [{"b64_json": PNG}]}))
    asked = {"model": painter.name, "prompt": "A cat", "response_format": "url"}
    answer = PLAIN.post(f"{gateway.base_url}/images/generations", json=asked, headers=world.authorization)
    envelope(answer, 503, "service_unavailable")
