"""Clients that hold on to a connection and do nothing with it."""

import asyncio
import json
import socket

from tests.answers import head
from tests.wire import PLAIN, chat

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
