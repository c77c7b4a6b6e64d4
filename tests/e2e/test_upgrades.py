"""Clients that offer to go on in another protocol, which is ignored: Java's own, for one."""

import json
import socket
import time

import pytest

from tests.wire import chat

OFFERS = (
    "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAA\r\n",
    "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAA\r\n",
)


def request(gateway, world, path: str, offer: str, kind: str, body: bytes) -> bytes:
    return (
        f"POST /api/tenant/v1{path} HTTP/1.1\r\nhost: 127.0.0.1:{gateway.port}\r\n{offer}"
        f"authorization: Bearer {world.key.plain}\r\ncontent-type: {kind}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode() + body


def chat_request(gateway, world, offer: str) -> bytes:
    messages = [{"role": "user", "content": "Mind the upgrade: it is text."}]
    body = json.dumps(chat("fast", messages=messages)).encode()
    return request(gateway, world, "/chat/completions", offer, "application/json", body)


@pytest.fixture
def client(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connected:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connected


def send(client: socket.socket, *parts: bytes, until: bytes = b"Hello there.") -> bytes:
    """Send a request in parts and return its response."""
    for number, part in enumerate(parts):
        if number:
            # So that the server reads each part separately.
            time.sleep(0.02)
        client.sendall(part)
    answered = client.recv(65536)
    while until not in answered:
        more = client.recv(65536)
        assert more, answered
        answered += more
    assert answered.startswith(b"HTTP/1.1 200 ")
    return answered


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("together", [True, False], ids=["at-once", "head-then-body"])
def test_a_request_that_offers_another_protocol_keeps_its_body(gateway, world, client, offer, together):
    whole = chat_request(gateway, world, offer)
    begins = whole.index(b"\r\n\r\n") + 4
    # A second request finds the connection as the first one left it.
    for _ in range(2):
        send(client, *((whole,) if together else (whole[:begins], whole[begins:])))


@pytest.mark.parametrize("offer", OFFERS)
def test_upgrade_request_may_arrive_in_parts(gateway, world, client, offer):
    whole = chat_request(gateway, world, offer)
    begins = whole.lower().index(b"\r\nupgrade:")
    ends = begins + len(b"\r\nupgrade:")
    for at in range(begins, ends + 1):
        send(client, whole[:at], whole[at:])
    send(client, whole[:begins], *(whole[at : at + 1] for at in range(begins, ends)), whole[ends:])


@pytest.mark.parametrize("offer", OFFERS)
def test_what_stands_before_a_request_does_not_hide_its_offer(gateway, world, client, offer):
    whole = chat_request(gateway, world, offer)
    empty = b"\r\n\r\n"
    send(client, empty + whole)
    send(client, empty + whole[:4], whole[4:])
    # The beginning of a request behind all of another one.
    before = f"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1:{gateway.port}\r\n\r\n".encode()
    send(client, before + whole[:4], whole[4:])


def test_a_body_that_looks_like_an_offer_stays_as_it_is(gateway, world, client):
    text = b"A\r\nUpgrade: is no header here.\r\n"
    part = "--b\r\nContent-Disposition: form-data; name="
    body = f'{part}"purpose"\r\n\r\nassistants\r\n{part}"file"; filename="a.txt"\r\n\r\n'.encode()
    form = "multipart/form-data; boundary=b"
    whole = request(gateway, world, "/files", OFFERS[0], form, body + text + b"\r\n--b--\r\n")
    begins = whole.index(b"\r\n\r\n")
    for at in range(begins, begins + 5):
        answered = send(client, whole[:at], whole[at:], until=b"}")
        assert json.loads(answered[answered.index(b"{") :])["bytes"] == len(text)
