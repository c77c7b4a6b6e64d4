"""Clients that offer to go on in another protocol, which is ignored: Java's own, for one."""

import json
import socket

import pytest

from tests.wire import chat

OFFERS = (
    "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAA\r\n",
    "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAA\r\n",
)


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("together", [True, False], ids=["at-once", "head-then-body"])
def test_a_request_that_offers_another_protocol_keeps_its_body(gateway, world, offer, together):
    messages = [{"role": "user", "content": "Mind the upgrade: it is text."}]
    body = json.dumps(chat("fast", messages=messages)).encode()
    head = (
        f"POST /api/tenant/v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{gateway.port}\r\n{offer}"
        f"authorization: Bearer {world.key.plain}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        # A second request finds the connection as the first one left it.
        for _ in range(2):
            for part in (head + body,) if together else (head, body):
                client.sendall(part)
            answered = client.recv(65536)
            while b"Hello there." not in answered:
                more = client.recv(65536)
                assert more, answered
                answered += more
            assert answered.startswith(b"HTTP/1.1 200 ")
