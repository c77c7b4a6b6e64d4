"""Neither a stranger nor a provider can fill the memory of a gateway, or keep it busy for long."""

import asyncio
import gzip
import json
import socket
import subprocess
import time
import zlib
from functools import cache
from pathlib import Path

import pytest

from files.models import Chunk
from tests import factories
from tests.answers import answer, chunks, completion, head
from tests.answers import stream as streamed
from tests.wire import PLAIN, RawClient, chat, envelope

MEGABYTE = 1 << 20
GOOD = json.dumps(completion("Hello there.")).encode()
EVENTS = head(200, content_type="text/event-stream") + b"\r\n"


@pytest.fixture
def small(start_gateway):
    """A gateway of one worker."""
    return start_gateway()


def memory(gateway) -> float:
    """The resident memory of the gateway's one worker, in MB."""
    found = subprocess.run(
        ["pgrep", "-P", str(gateway.process.pid)], capture_output=True, text=True, check=True
    )
    status = Path(f"/proc/{found.stdout.split()[0]}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@cache
def bomb() -> bytes:
    """Two megabytes that unpack to 400."""
    return gzip.compress(b'{"choices": "' + bytes(400 * MEGABYTE), 1)


def packed(encoding: str, data: bytes, status: int = 200, kind: str = "application/json"):
    async def play(wire):
        headers = [("content-encoding", encoding), ("content-length", str(len(data)))]
        await wire.send(head(status, headers, kind) + b"\r\n" + data)

    return play


def endless(beginning: bytes, piece: bytes):
    async def play(wire):
        await wire.send(beginning)
        while True:
            await wire.send(piece)
            await asyncio.sleep(0)

    return play


def read_answer(client: socket.socket) -> None:
    got = b""
    while b'"code":"invalid_api_key"}}' not in got:
        part = client.recv(65536)
        assert part, got
        got += part


def pour(client: socket.socket, piece: bytes, times: int) -> int:
    """How often `piece` could be sent before the other side hung up."""
    for sent in range(times):
        try:
            client.sendall(piece)
        except OSError:
            return sent
        time.sleep(0.01)
    return times


def test_long_paths_of_strangers_are_not_kept(small):
    # One letter of four bytes makes each letter of a text in Python take four.
    path = "/api/tenant/models/%F0%9F%98%80" + "a" * 60_000
    PLAIN.get(f"{small.base_url}/models/a")
    before = memory(small)
    with socket.create_connection(("127.0.0.1", small.port), timeout=10) as client:
        for number in range(300):
            client.sendall(f"GET {path}{number} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            read_answer(client)
    assert memory(small) - before < 40


@pytest.mark.parametrize("key", [True, False], ids=["key", "no-key"])
@pytest.mark.parametrize("one", [True, False], ids=["one", "many"])
def test_trailers_without_end_are_not_kept(small, world, key, one):
    before = memory(small)
    piece = b"y" * MEGABYTE if one else b"".join(b"x%d: %s\r\n" % (n, b"y" * 1000) for n in range(1000))
    authorization = f"authorization: {world.authorization['authorization']}\r\n" if key else ""
    with socket.create_connection(("127.0.0.1", small.port), timeout=10) as client:
        client.sendall(
            f"POST /api/tenant/chat/completions HTTP/1.1\r\nhost: x\r\n{authorization}"
            "transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx: ".encode()
        )
        assert pour(client, piece, 50) < 50
        assert memory(small) - before < 20


def test_trailers_are_no_headers(gateway, world):
    client = RawClient(gateway.port, "Bearer none")
    body = json.dumps(chat("fast")).encode()
    client.socket.sendall(
        b"POST /api/tenant/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
        b"content-type: application/json\r\n\r\n%x\r\n%b\r\n0\r\nauthorization: %b\r\n\r\n"
        % (len(body), body, world.authorization["authorization"].encode())
    )
    assert b" 401 " in client.read_until(b"\r\n\r\n")
    client.leave()


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_packed_answer_is_read_all_the_same(http, upstream, world, encoding, pack):
    upstream.script(world.raw, packed(encoding, pack(GOOD)))
    assert "Hello there." in http.post("/chat/completions", json=chat("fast")).text
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"Hello."},"finish_reason":"stop"}]}\n\n'
    upstream.script(world.raw, packed(encoding, pack(chunk + b"data: [DONE]\n\n"), 200, "text/event-stream"))
    text = http.post("/chat/completions", json=chat("fast", stream=True)).text
    assert "Hello." in text
    assert text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip"])
def test_what_cannot_be_unpacked_is_a_502(http, upstream, world, encoding, stream):
    upstream.script(
        world.raw, packed(encoding, GOOD, 200, "text/event-stream" if stream else "application/json")
    )
    envelope(http.post("/chat/completions", json=chat("fast", stream=stream)), 502, "upstream_error")


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_answer_that_unpacks_to_more_than_there_is_room_for_is_a_502(
    small, upstream, world, status, stream
):
    kind = "text/event-stream" if stream else "application/json"
    upstream.script(world.raw, packed("gzip", bomb(), status, kind))
    before = memory(small)
    response = PLAIN.post(f"{small.base_url}/chat/completions", headers=world.authorization,
                          json=chat("fast", stream=stream))  # fmt: skip
    envelope(response, 502, "upstream_error")
    assert memory(small) - before < 120


@pytest.mark.parametrize(
    ("beginning", "piece"),
    [(b"data: ", b"x" * 16384), (b"", b"data:\n" * 3000), (b"event: ", b"x" * 16384)],
    ids=["line", "lines", "no-data"],
)
def test_an_event_without_end_is_given_up(small, upstream, world, beginning, piece):
    upstream.script(world.raw, endless(EVENTS + beginning, piece))
    before, began = memory(small), time.monotonic()
    response = PLAIN.post(f"{small.base_url}/chat/completions", headers=world.authorization,
                          json=chat("fast", stream=True))  # fmt: skip
    envelope(response, 502, "upstream_error")
    assert time.monotonic() - began < 20
    assert memory(small) - before < 150


def test_a_stream_has_a_largest_size(small, upstream, world):
    event = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"x" * 60_000)
    upstream.script(world.raw, endless(EVENTS, event))
    size, last = 0, b""
    with PLAIN.stream("POST", f"{small.base_url}/chat/completions", headers=world.authorization,
                      json=chat("fast", stream=True)) as response:  # fmt: skip
        for part in response.iter_raw():
            size += len(part)
            last = (last + part)[-300:]
    assert b'"code":"upstream_error"' in last
    assert size < 200 * MEGABYTE


@pytest.mark.parametrize(
    ("name", "more"),
    [("arrays", b'"x": [' + b"[]," * 1_000_000 + b"[]]"),
     ("objects", b'"x": [' + b'{"a":1},' * 500_000 + b"{}]"),
     ("fields", b",".join(b'"%x": 0' % n for n in range(300_000)))],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_body_of_too_many_pieces_is_refused(http, upstream, world, name, more):
    body = b'{"model": "fast", "messages": [{"role": "user", "content": "Hi"}], ' + more + b"}"
    response = http.post("/chat/completions", content=body, headers={"content-type": "application/json"})
    envelope(response, 400, "invalid_json")
    assert upstream.received(world.raw) == []


def test_brackets_in_texts_do_not_count(http):
    assert http.post("/chat/completions", json=chat("fast", user="[{" * 300_000)).status_code == 200


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("letter", [" ", "\t ", "x", "\n"], ids=repr)
def test_tokens_of_any_text_can_be_estimated(http, upstream, world, letter, stream):
    text = letter * 3_000_000
    message = chunks("Hello there.") if stream else completion(usage=None)
    upstream.script(world.raw, streamed(*message) if stream else answer(message))
    body = {"model": "fast", "messages": [{"role": "user", "content": text}], "stream": stream}
    began = time.monotonic()
    response = http.post("/chat/completions", json=body)
    assert response.status_code == 200, response.text
    assert "Hello there." in response.text
    assert time.monotonic() - began < 20


def test_a_file_whose_text_is_large_is_not_read_whole(small, world):
    dataset_file = factories.dataset_file(factories.dataset(world.tenant, keys=[world.key.row]))
    of = {
        "tenant": dataset_file.tenant,
        "dataset": dataset_file.dataset,
        "dataset_file": dataset_file,
        "tokens": 1,
    }
    text = "\U0001f600" * 5_000
    Chunk.objects.bulk_create((Chunk(position=at, text=text, **of) for at in range(1_250)), 500)
    path = f"{small.base_url}/vector_stores/{dataset_file.dataset_id}/files/{dataset_file.file_id}/content"
    before, size = memory(small), 0
    with PLAIN.stream("GET", path, headers=world.authorization) as response:
        for part in response.iter_raw():
            size += len(part)
    assert size > 1_250 * len(text.encode())
    assert memory(small) - before < 20
