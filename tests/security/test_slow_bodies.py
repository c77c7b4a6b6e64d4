"""Clients that send the body of a request as slowly as they like."""

import contextlib
import threading
import time

import pytest
from django.utils import timezone

from files.models import File, OrphanedBlob
from tests import answers, factories
from tests.admin.conftest import url
from tests.wire import RawClient, chat

FORM = "multipart/form-data; boundary=x"
HEAD = (
    b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
)
TAIL = b"\r\n--x--\r\n"


@pytest.fixture
def gateway(start_gateway, tmp_path):
    """A gateway that waits a second for a body, and one more for each 10,000 bytes of it."""
    return start_gateway(BODY_SECONDS="1", BODY_MIN_RATE="10000", UPLOAD_TEMP_DIR=str(tmp_path))


@pytest.fixture
def client(gateway, world):
    made = RawClient(gateway.port, world.authorization["authorization"])
    yield made
    made.leave()


def answer(client):
    """What is answered until the gateway closes the connection."""
    said = b""
    # What the gateway has not read when it closes makes of the end a reset.
    with contextlib.suppress(ConnectionResetError):
        while part := client.socket.recv(65536):
            said += part
    return said


def trickle(client):
    """Sends a byte now and then for as long as the server accepts it."""

    def send():
        try:
            while True:
                client.socket.sendall(b"x")
                time.sleep(0.1)
        except OSError:
            pass

    threading.Thread(target=send, daemon=True).start()


@pytest.mark.parametrize("trickles", [True, False], ids=["trickling", "silent"])
@pytest.mark.parametrize("where", ["file", "dataset", "chat"])
def test_a_body_that_does_not_come_is_not_waited_for(client, gateway, world, tmp_path, where, trickles):
    dataset = factories.dataset(world.tenant, keys=[world.key.row])
    began = timezone.now()
    path, kind, begin = {
        "file": ("/api/tenant/files", FORM, HEAD),
        "dataset": (f"/api/tenant/v1/datasets/{dataset.pk}/files", FORM, HEAD),
        "chat": ("/api/tenant/chat/completions", "application/json", b'{"model": "'),
    }[where]
    client.socket.sendall(client.head(10**6, path, kind) + begin)
    if trickles:
        trickle(client)
    said = answer(client)
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in said
    assert b'"code":"request_timeout"' in said
    assert not File.objects.filter(tenant=world.tenant).exists()
    assert not OrphanedBlob.objects.filter(created_at__gte=began).exists()
    assert list(tmp_path.iterdir()) == []


def test_a_form_of_the_admin_is_not_waited_for(client, gateway):
    client.socket.sendall(client.head(1000, url("login"), "application/x-www-form-urlencoded") + b"username=")
    trickle(client)
    assert answer(client).startswith(b"HTTP/1.1 408 ")


def test_an_upload_that_comes_steadily_may_take_longer(client, world):
    part, parts = bytes(10_000), 4
    length = len(HEAD) + len(part) * parts + len(TAIL)
    client.socket.sendall(client.head(length, "/api/tenant/files", FORM) + HEAD)
    for _ in range(parts):
        time.sleep(0.6)
        client.socket.sendall(part)
    client.socket.sendall(TAIL)
    assert client.read_until(b"}").startswith(b"HTTP/1.1 200 ")
    assert File.objects.get(tenant=world.tenant).bytes == len(part) * parts


def test_who_sends_much_at_once_is_not_waited_for_the_longer(client):
    # At the least rate, so much would have had a quarter of an hour.
    sent = bytes(9 * 10**6)
    length = len(HEAD) + len(sent) + 10**6
    client.socket.sendall(client.head(length, "/api/tenant/files", FORM) + HEAD + sent)
    assert answer(client).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_has_come_is_not_hurried(start_gateway, upstream, world):
    gateway = start_gateway(BODY_SECONDS="0.5")

    async def slow(wire):
        await wire.pause(1.2)
        await answers.answer()(wire)

    upstream.script(world.raw, slow)
    client = RawClient(gateway.port, world.authorization["authorization"])
    client.post(chat("fast"))
    client.read_until(b"Hello there.")
    client.leave()
