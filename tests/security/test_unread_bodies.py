"""Requests that are answered before their body has come, or that are none: no connection stays for them."""

import json
import socket
import time

import pytest

from tests import factories
from tests.gateway import GatewayProcess
from tests.wire import RawClient, chat

#: More than sockets hold.
LARGE = 16 << 20
FORM = "multipart/form-data; boundary=x"


@pytest.fixture(scope="module")
def gateway(database):
    with GatewayProcess(
        factories.unique("gateway"), workers=1, BODY_SECONDS="1", HEADER_SECONDS="1"
    ) as running:
        yield running


@pytest.fixture
def stranger(gateway):
    made = RawClient(gateway.port, "Bearer nobody")
    yield made
    made.leave()


@pytest.fixture
def client(gateway, world):
    made = RawClient(gateway.port, world.authorization["authorization"])
    yield made
    made.leave()


def answer(client) -> bytes:
    """What is said until the gateway says no more."""
    said = b""
    while part := client.socket.recv(65536):
        said += part
    return said


def sends_for_ever(client, data: bytes) -> bool:
    """Whether the gateway takes a byte now and then for longer than it should."""
    for _ in range(60):
        try:
            client.socket.sendall(data)
        except OSError:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.parametrize("said", ["HTTP/1.1 401 ", "HTTP/1.1 413 ", "HTTP/1.1 404 ", "admin"])
def test_who_is_answered_early_can_send_no_more_for_long(stranger, client, said):
    path = "/admin/login/" if said == "admin" else "/api/tenant/chat/completions"
    asking = client if said == "HTTP/1.1 413 " else stranger
    if said == "HTTP/1.1 404 ":
        path = "/api/tenant/nothing"
    asking.socket.sendall(asking.head(10**12, path))
    answered = answer(asking)
    assert answered.startswith(said.replace("admin", "HTTP/1.1 413 ").encode())
    assert b"\r\nconnection: close\r\n" in answered
    assert not sends_for_ever(asking, b"x")


def test_whoever_sends_all_of_it_first_learns_why_it_was_refused(stranger):
    stranger.socket.sendall(stranger.head(LARGE, "/api/tenant/files", FORM))
    time.sleep(0.3)
    stranger.socket.sendall(bytes(LARGE))
    assert answer(stranger).startswith(b"HTTP/1.1 401 ")


def test_what_follows_a_body_that_nobody_read_is_no_request(stranger):
    stranger.socket.sendall(stranger.head(10, "/api/tenant/files", FORM))
    time.sleep(0.3)
    stranger.socket.sendall(bytes(10) + b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
    assert answer(stranger).count(b"HTTP/1.1 ") == 1


def test_who_waits_to_be_asked_for_the_body_is_told_that_it_is_not_wanted(stranger):
    head = stranger.head(LARGE, "/api/tenant/files", FORM)
    stranger.socket.sendall(head.replace(b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n"))
    answered = answer(stranger)
    assert answered.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nconnection: close\r\n" in answered


def test_who_waits_to_be_asked_for_the_body_is_asked(client):
    body = json.dumps(chat("fast")).encode()
    client.socket.sendall(client.head(len(body)).replace(b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n"))
    client.read_until(b"HTTP/1.1 100 Continue\r\n\r\n")
    client.socket.sendall(body)
    assert b"connection: close" not in client.read_until(b"Hello there.")


def test_a_body_that_has_come_keeps_the_connection(stranger):
    for _ in range(2):
        stranger.socket.sendall(stranger.head(2) + b"{}")
        assert b"connection: close" not in stranger.read_until(b"invalid_api_key")


def test_empty_lines_between_requests_are_no_request(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as made:
        made.sendall(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        said = b""
        # Head and body may come apart.
        while not said.endswith(b"}"):
            said += made.recv(65536)
        made.sendall(b"\r\n")
        assert made.recv(65536) == b""
