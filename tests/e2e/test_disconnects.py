"""When a client leaves, its provider is not kept at work: within a second, at every stage."""

import time
from collections.abc import Iterator

import httpx
import pytest

from tests import answers
from tests.upstream import Upstream
from tests.wire import RawClient, chat

LEAVING = pytest.mark.parametrize("how", ["close", "reset"])
SLOW = answers.chunks(*["word "] * 100)


@pytest.fixture
def raw_client(gateway, world) -> Iterator[RawClient]:
    client = RawClient(gateway.port, world.authorization["authorization"])
    yield client
    client.socket.close()


def left_in_time(upstream: Upstream, raw: str) -> bool:
    """Whether the gateway closed its connection within a second of the client's leave, which was just now."""
    return upstream.last(raw).closed_within(1.0)


@LEAVING
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_disconnect_before_the_provider_responds(upstream, world, raw_client, stream, how):
    upstream.script(world.raw, answers.silent())
    raw_client.post(chat("fast", stream=stream))
    upstream.wait_for(world.raw)
    raw_client.leave(how)
    assert left_in_time(upstream, world.raw)


@LEAVING
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_disconnect_after_the_providers_headers(upstream, world, raw_client, stream, how):
    kind = "text/event-stream" if stream else "application/json"
    upstream.script(world.raw, answers.headers_then_silence(kind))
    raw_client.post(chat("fast", stream=stream))
    upstream.wait_for(world.raw)
    time.sleep(0.1)
    raw_client.leave(how)
    assert left_in_time(upstream, world.raw)


@LEAVING
def test_disconnect_between_two_chunks(upstream, world, raw_client, how):
    upstream.script(world.raw, answers.stream(*answers.chunks("first")[:-1], done=False, then=answers.HOLD))
    raw_client.post(chat("fast", stream=True))
    raw_client.read_until(b"first")
    raw_client.leave(how)
    assert left_in_time(upstream, world.raw)


@LEAVING
def test_disconnect_while_chunks_arrive(upstream, world, raw_client, how):
    upstream.script(world.raw, answers.endless(every=0.01))
    raw_client.post(chat("fast", stream=True))
    raw_client.read_until(b"on and on")
    raw_client.leave(how)
    assert left_in_time(upstream, world.raw)


@LEAVING
def test_disconnect_with_unread_chunks(upstream, world, raw_client, how):
    """The socket to the client is full by then, so that the gateway is waiting to write, not to read."""
    upstream.script(world.raw, answers.endless("x" * 100_000, every=0))
    raw_client.post(chat("fast", stream=True))
    upstream.wait_for(world.raw)
    time.sleep(0.5)
    raw_client.leave(how)
    assert left_in_time(upstream, world.raw)


@LEAVING
def test_disconnect_during_a_slow_response(upstream, world, raw_client, how):
    upstream.script(world.raw, answers.answer(split=10, drip=0.05))
    raw_client.post(chat("fast"))
    upstream.wait_for(world.raw)
    time.sleep(0.1)
    raw_client.leave(how)
    assert left_in_time(upstream, world.raw)


@LEAVING
def test_disconnect_within_the_request_body_calls_no_provider(upstream, world, raw_client, http, how):
    raw_client.socket.sendall(raw_client.head(1000) + b'{"model": "fast", ')
    raw_client.leave(how)
    assert http.post("/chat/completions", json=chat("fast")).status_code == 200
    assert len(upstream.received(world.raw)) == 1


def test_gateway_serves_clients_after_many_disconnects(gateway, upstream, world, http):
    upstream.script(world.raw, *[answers.stream(*SLOW, delay=0.05)] * 100, answers.answer())
    clients = [RawClient(gateway.port, world.authorization["authorization"]) for _ in range(100)]
    for client in clients:
        client.post(chat("fast", stream=True))
    for client in clients:
        client.read_until(b"word")
    for client in clients:
        client.leave("reset")
    left = upstream.wait_for(world.raw, 100)
    assert all(received.closed_within(2) for received in left)
    for _ in range(20):
        assert http.post("/chat/completions", json=chat("fast")).status_code == 200


def test_slow_client_receives_everything(gateway, upstream, world):
    """The provider is slowed down to the client's pace; nothing is dropped, and memory stays bounded."""
    upstream.script(world.raw, answers.stream(*answers.chunks(*["x" * 100_000] * 60)))
    with (
        httpx.Client(headers=world.authorization, timeout=30) as client,
        client.stream(
            "POST", f"{gateway.base_url}/chat/completions", json=chat("fast", stream=True)
        ) as response,
    ):
        size = 0
        last = b""
        for number, part in enumerate(response.iter_raw(65536)):
            size += part.count(b"x")
            last = (last + part)[-50:]
            if number < 20:
                time.sleep(0.02)
    assert size >= 6_000_000
    assert last.endswith(b"data: [DONE]\n\n")
