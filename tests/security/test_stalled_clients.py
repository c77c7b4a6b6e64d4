"""Clients that hold on to a connection and do nothing with it."""

import asyncio
import json
import socket
import time

import pytest

from tests.answers import head
from tests.wire import PLAIN, RawClient, chat

WHOLE = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"x" * 3000)


async def much(wire):
    await wire.send(head(200, content_type="text/event-stream") + b"\r\n")
    while True:
        await wire.send(EVENT * 20)
        await asyncio.sleep(0.001)


def test_a_client_that_reads_nothing_does_not_hold_the_provider_for_ever(start_gateway, upstream, world):
    gateway = start_gateway(STREAM_STALL_SECONDS="1", STREAM_KEEPALIVE_SECONDS="0.5")
    upstream.script(world.raw, much)
    body = json.dumps(chat("fast", stream=True)).encode()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", gateway.port))
        client.sendall(
            b"POST /api/tenant/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: %b\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (world.authorization["authorization"].encode(), len(body), body)
        )
        assert upstream.wait_for(world.raw)[0].closed_within(15)
    assert PLAIN.get(f"{gateway.url}/healthz").status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTT",
        b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n",
        WHOLE + b"GET /healthz HTTP/1.1\r\nho",
    ],
    ids=["nothing", "line", "half", "second"],
)
def test_a_connection_without_headers_ends(start_gateway, sent):
    gateway = start_gateway(HEADER_SECONDS="1")
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(sent)
        while client.recv(65536):
            pass


def test_a_body_may_take_longer_than_headers(start_gateway, upstream, world):
    gateway = start_gateway(HEADER_SECONDS="0.5")
    body = json.dumps(chat("fast")).encode()
    client = RawClient(gateway.port, world.authorization["authorization"])
    client.socket.sendall(client.head(len(body)))
    time.sleep(1.2)
    client.socket.sendall(body)
    client.read_until(b"Hello there.")
    time.sleep(1.2)
    client.post(chat("fast"))
    client.read_until(b"Hello there.")
    client.leave()
