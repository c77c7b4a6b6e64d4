"""Limits on request bodies of the admin before login."""

import httpx
import pytest
from django.contrib.auth.models import User

from gtapi.web.admin_handler import MAX_FORM_BYTES
from tests import factories
from tests.browsing import Client
from tests.gateway import GatewayProcess

LIMIT = 1_000_000
#: More than a form may have, and less than an upload.
BETWEEN = MAX_FORM_BYTES + LIMIT // 2


@pytest.fixture(scope="module")
def gateway(database):
    with GatewayProcess(factories.unique("gateway"), workers=1, MAX_UPLOAD_BYTES=str(LIMIT)) as running:
        yield running


@pytest.fixture
def cookies(database, django_db_blocker):
    """Those of an operator who has logged in."""
    browser = Client()
    with django_db_blocker.unblock():
        browser.force_login(User.objects.create_superuser(factories.unique("operator")))
    return {"sessionid": browser.cookies["sessionid"].value}


def pieces(size: int):
    """A body without a declared size."""
    for _ in range(size // 10_000):
        yield b"x" * 10_000


def status(address: str, body, cookies=None) -> int:
    """What a body is answered; 413 also where it was told to stop before all of it was sent."""
    try:
        return httpx.post(address, content=body, cookies=cookies, timeout=30).status_code
    except (httpx.WriteError, httpx.ReadError):
        return 413


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("path", ["/admin/login/", "/admin/files/dataset/ds_1/upload/", "/nowhere/upload/"])
def test_without_a_session_there_is_room_for_a_form_alone(gateway, path, declared):
    for cookies in (None, {"sessionid": "made-up"}, {"sessionid": '"a\\000b"'}):
        body = b"x" * BETWEEN if declared else pieces(BETWEEN)
        assert status(gateway.url + path, body, cookies) == 413


@pytest.mark.parametrize("declared", [True, False])
def test_a_form_is_read(gateway, declared):
    body = b"x" * LIMIT if declared else pieces(LIMIT)
    # Without its token a form gets no further.
    assert status(f"{gateway.url}/admin/login/", body) == 403


@pytest.mark.parametrize("declared", [True, False])
def test_an_operator_has_room_for_an_upload_and_no_more(gateway, cookies, declared):
    address = f"{gateway.url}/admin/files/dataset/ds_1/upload/"
    for size, refused in ((BETWEEN, False), (MAX_FORM_BYTES + 2 * LIMIT, True)):
        body = b"x" * size if declared else pieces(size)
        assert (status(address, body, cookies) == 413) is refused


def test_an_upload_while_postgresql_is_away_is_told_so():
    away = {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing", "DATABASE_POOL_TIMEOUT": "0.5"}
    with GatewayProcess(factories.unique("gateway"), workers=1, awaiting="/healthz", **away) as running:
        address = f"{running.url}/admin/files/dataset/ds_1/upload/"
        answered = httpx.post(address, content=b"x", cookies={"sessionid": "made-up"}, timeout=60)
    assert answered.status_code == 503
    assert answered.text == "The service is temporarily unavailable. Please try again."
