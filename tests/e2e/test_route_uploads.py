"""Uploads: forms of every kind of wrong, files that never lie whole in memory, and clients that leave."""

import itertools
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import answers, factories
from tests.answers import answer, stream
from tests.e2e.media import TRANSCRIPT_EVENTS, WAV, pictures
from tests.gateway import GatewayProcess
from tests.wire import PLAIN, RawClient, envelope, events

MEGABYTE = 1 << 20
LIMIT = 30 * MEGABYTE
PATH = "/audio/transcriptions"
FULL_PATH = f"/api/tenant/v1{PATH}"
TEXT = {"text": "Hello there."}
BOUNDARY = "the-boundary"
KIND = f"multipart/form-data; boundary={BOUNDARY}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def small(database, folder) -> Iterator[GatewayProcess]:
    """A gateway of one process with a limit of 30 MiB and a separate upload folder."""
    limits = {"MAX_UPLOAD_BYTES": str(LIMIT), "UPLOAD_TEMP_DIR": str(folder), "MAX_BODY_BYTES": "2000"}
    with GatewayProcess(factories.unique("uploads"), workers=1, **limits) as running:
        yield running


@pytest.fixture
def send(small, studio, upstream):
    """Sends a body that is a form, or was meant to be one; the provider answers with a transcript."""
    upstream.script(studio.raw, answer(TEXT))

    def post(body, kind=KIND, path=PATH):
        headers = {**studio.authorization, "content-type": kind}
        return PLAIN.post(small.base_url + path, content=body, headers=headers)

    return post


@pytest.fixture(autouse=True)
def nothing_is_left(folder):
    yield
    deadline = time.monotonic() + 5
    while (left := list(folder.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []


def part(head: str, data: bytes) -> bytes:
    return f"--{BOUNDARY}\r\ncontent-disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n"


def text(name: str, value: str = "x") -> bytes:
    return part(f'name="{name}"', value.encode())


def file(data: bytes = WAV, name: str = "file", filename: str = "a.wav") -> bytes:
    return part(f'name="{name}"; filename="{filename}"\r\ncontent-type: audio/wav', data)


MODEL = text("model", "fast")
END = f"--{BOUNDARY}--\r\n".encode()


def test_handwritten_form_is_accepted(send, upstream, studio):
    assert send(MODEL + file() + END).json() == TEXT
    (got,) = [one for one in upstream.last(studio.raw).form if one.filename]
    assert got.data == WAV


def test_the_model_may_come_last_and_words_may_follow(send):
    assert send(b"\r\n" + file() + MODEL + END + b"epilogue" * 1000).json() == TEXT


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_form_sent_in_pieces_is_accepted(send, upstream, studio, size):
    data = os.urandom(2000)
    body = MODEL + text("prompt", "Grüße 東京") + file(data) + END
    assert send(iter([body[at : at + size] for at in range(0, len(body), size)])).json() == TEXT
    sent = upstream.last(studio.raw)
    assert sent.fields("prompt") == ["Grüße 東京"]
    assert [one.data for one in sent.form if one.filename] == [data]


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b'{"model": "fast"}', "application/json", 415, "unsupported_media_type"),
        (b"model=fast", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (WAV, "audio/wav", 415, "unsupported_media_type"),
        (MODEL + file() + END, "multipart/mixed; boundary=the-boundary", 415, "unsupported_media_type"),
        (MODEL + file() + END, "multipart/form-data", 400, "invalid_form"),
        (MODEL + file() + END, "multipart/form-data; boundary=", 400, "invalid_form"),
        (MODEL + file() + END, "multipart/form-data; boundary=other", 400, "invalid_form"),
        (MODEL + file() + END, "multipart/form-data; boundary=" + "x" * 300, 400, "invalid_form"),
        (b"", KIND, 400, "invalid_form"),
        (b"no form", KIND, 400, "invalid_form"),
        (MODEL + file(), KIND, 400, "invalid_form"),
        (MODEL + file()[:-20], KIND, 400, "invalid_form"),
        (MODEL + file() + END[:-5], KIND, 400, "invalid_form"),
        (b"--the-boundary\r\nno header\r\n\r\nx\r\n" + END, KIND, 400, "invalid_form"),
        (b"--the-boundary\r\n\r\nx\r\n" + END, KIND, 400, "invalid_form"),
        (b"--the-boundary\r\ncontent-type: text/plain\r\n\r\nx\r\n" + END, KIND, 400, "invalid_form"),
        (part("", b"x") + END, KIND, 400, "invalid_form"),
        (part('name=""', b"x") + END, KIND, 400, "invalid_form"),
        (part('filename="a.wav"', b"x") + END, KIND, 400, "invalid_form"),
        (part('name="a"\r\nx: ' + "y" * 20_000, b"x") + END, KIND, 400, "invalid_form"),
        (part('name="a"' + "\r\nx: y" * 5_000, b"x") + END, KIND, 400, "invalid_form"),
        (b"".join(text(f"f{n}") for n in range(201)) + END, KIND, 400, "invalid_form"),
        (MODEL + b"".join(file(b"x", f"f{n}") for n in range(300)) + END, KIND, 400, "invalid_form"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_invalid_form_is_refused(send, upstream, studio, body, kind, status, code):
    envelope(send(body, kind), status, code)
    assert upstream.received(studio.raw) == []


@pytest.mark.parametrize("path", [PATH, "/audio/translations", "/images/edits", "/images/variations"])
def test_a_form_without_its_file_is_refused(send, upstream, studio, path):
    name = "image" if "images" in path else "file"
    prompt = text("prompt")
    for body, code in (
        (MODEL + prompt, "missing_required_parameter"),
        (MODEL + prompt + text(name, "a text"), "missing_required_parameter"),
        (MODEL + prompt + file(b"x", "other"), "missing_required_parameter"),
        (MODEL + prompt + file(b"", name), "invalid_value"),
        (MODEL + prompt + file(b"", name, ""), "invalid_value"),
    ):
        assert envelope(send(body + END, path=path), 400, code)["param"] == name
    assert upstream.received(studio.raw) == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (MODEL + text("prompt", "a\0b") + file(), "prompt"),
        (text("model", "fast\0") + file(), "model"),
        (text("pro\0mpt") + MODEL + file(), None),
        (MODEL + part('name="prompt"', b"\xff\xfe") + file(), "prompt"),
    ],
    ids=["value", "model", "name", "no-utf-8"],
)
def test_a_nul_and_broken_text_are_refused(send, upstream, studio, body, param):
    error = envelope(send(body + END), 400)
    assert error["param"] == param
    assert upstream.received(studio.raw) == []


@pytest.mark.parametrize(
    "name",
    ["../../../etc/passwd", "/etc/passwd", "..\\..\\boot.ini", "C:\\boot.ini", "a\0.wav", "", ".", "..", "x" * 3000,
     "a.wav/../../b", "%2e%2e%2fetc", "a.tar.gz;rm -rf", "käse.wav", 'a"b.wav', "a.wav\x01", "a." + "w" * 50],
)  # fmt: skip
def test_a_files_name_is_no_path_and_does_not_pass(send, upstream, studio, folder, name):
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    response = send(MODEL + file(filename=quoted) + END)
    assert response.json() == TEXT
    (got,) = [one for one in upstream.last(studio.raw).form if one.filename is not None]
    assert got.filename in ("file", "file.wav", "file.ini", "file.gz")
    assert got.data == WAV
    assert not list(folder.parent.glob("*passwd*"))


@pytest.mark.parametrize(
    "kind", ["audio/wav", "audio/wav; x=y", "", "own words", "a/b/c", "\x01/x", "text/html"]
)
def test_a_files_type_passes_only_as_a_type(send, upstream, studio, kind):
    head = 'name="file"; filename="a.wav"' + (f"\r\ncontent-type: {kind}" if kind else "")
    response = send(MODEL + part(head, WAV) + END)
    if response.status_code == 400:
        envelope(response, 400, "invalid_form")
        return
    (got,) = [one for one in upstream.last(studio.raw).form if one.filename is not None]
    expected = kind.partition(";")[0] if kind in ("audio/wav", "audio/wav; x=y", "text/html") else None
    assert got.content_type == (expected or "application/octet-stream")


def test_fields_that_route_do_not_pass(send, upstream, studio):
    body = MODEL + text("model[]", "raw") + text("model[x]", "raw") + file(b"raw", "model") + text("api_base")
    body += (
        text("provider[order]") + text("extra_body") + file(b"x", "fallbacks") + text("x_unknown", "passes")
    )
    assert send(body + file() + MODEL + END).json() == TEXT
    assert [(one.name, one.filename) for one in upstream.last(studio.raw).form] == [
        ("model", None),
        ("x_unknown", None),
        ("file", "file.wav"),
    ]
    assert upstream.last(studio.raw).fields("model") == [studio.raw]


def test_an_upload_over_the_limit_is_refused_and_the_limit_is_named(small, send, upstream, studio):
    pieces = itertools.chain([MODEL, file(b"")[:-2]], itertools.repeat(bytes(MEGABYTE), 31))
    error = envelope(send(pieces), 413, "request_too_large")
    assert "31,457,280" in error["message"]
    with socket.create_connection(("127.0.0.1", small.port), timeout=5) as client:
        client.sendall(
            f"POST {FULL_PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: {LIMIT + 1}\r\ncontent-type: {KIND}\r\n"
            f"authorization: {studio.authorization['authorization']}\r\n\r\n--".encode()
        )
        assert client.recv(1000).startswith(b"HTTP/1.1 413 ")
    assert upstream.received(studio.raw) == []


def test_text_over_its_limit_is_refused_and_the_limit_is_named(send, upstream, studio):
    body = MODEL + b"".join(text(f"f{n}", "x" * MEGABYTE) for n in range(16)) + file() + END
    assert "16,777,216" in envelope(send(body), 413, "request_too_large")["message"]
    assert upstream.received(studio.raw) == []


def memory(gateway: GatewayProcess) -> int:
    """The most memory that any process of a gateway has ever held, in bytes, since that was last forgotten."""
    children = Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children").read_text().split()
    return max(_peak(int(pid)) for pid in children)


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def forget_peak(gateway: GatewayProcess) -> None:
    for pid in Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children").read_text().split():
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def test_25_megabytes_pass_without_being_held_in_memory(small, send, upstream, studio):
    upload = MODEL + file(os.urandom(25 * MEGABYTE)) + END
    send(MODEL + file(bytes(MEGABYTE)) + END)
    forget_peak(small)
    before = memory(small)
    pieces = (upload[at : at + 65536] for at in range(0, len(upload), 65536))
    assert send(pieces).json() == TEXT
    assert memory(small) - before < 5 * MEGABYTE
    assert len(upstream.last(studio.raw).body) > 25 * MEGABYTE
    assert upstream.last(studio.raw).header("content-length")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_disconnect_within_an_upload_calls_no_provider(small, send, upstream, studio, folder, how):
    client = RawClient(small.port, studio.authorization["authorization"])
    client.socket.sendall(
        client.head(20 * MEGABYTE, FULL_PATH, KIND) + MODEL + file(b"")[:-2] + bytes(MEGABYTE)
    )
    deadline = time.monotonic() + 5
    while not any(folder.iterdir()):
        assert time.monotonic() < deadline
    client.leave(how)
    assert send(MODEL + file() + END).json() == TEXT
    assert len(upstream.received(studio.raw)) == 1


def upload(gateway: GatewayProcess, studio, body: bytes) -> RawClient:
    client = RawClient(gateway.port, studio.authorization["authorization"])
    client.socket.sendall(client.head(len(body), FULL_PATH, KIND) + body)
    return client


@pytest.mark.parametrize("how", ["close", "reset"])
def test_leaving_while_the_provider_is_still_being_sent_the_file(small, upstream, studio, how):
    async def nothing(wire):
        await wire.hold()

    with upstream.early(f"/v1{PATH}", nothing):
        client = upload(small, studio, MODEL + file(bytes(25 * MEGABYTE)) + END)
        (received,) = upstream.wait_for(f"/v1{PATH}")
        client.leave(how)
        # What the sockets hold by then is still on its way.
        assert received.closed_within(3)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_leaving_once_the_provider_has_the_file(small, upstream, studio, how, streamed):
    upstream.script(studio.raw, stream(TRANSCRIPT_EVENTS[0], done=False, then=answers.HOLD) if streamed
                    else answers.silent())  # fmt: skip
    client = upload(small, studio, MODEL + text("stream", str(streamed)) + file() + END)
    upstream.wait_for(studio.raw)
    if streamed:
        client.read_until(b"Hello ")
    client.leave(how)
    assert upstream.last(studio.raw).closed_within(1)


@pytest.mark.parametrize("size", [1000, 25 * MEGABYTE])
@pytest.mark.parametrize(("status", "expected"), [(413, 400), (400, 400), (401, 502), (429, 429), (500, 502)])
def test_a_provider_may_refuse_before_it_has_the_file(small, send, upstream, size, status, expected):
    refusal = answer(answers.error_body(), status, headers=[("connection", "close")])
    with upstream.early(f"/v1{PATH}", refusal):
        response = send(MODEL + file(bytes(size)) + END)
        envelope(response, expected)
        assert "own words" not in response.text
        assert upstream.received(f"/v1{PATH}")[0].closed_within(3)


@pytest.mark.parametrize("close", [answers.closes_when_reused, answers.resets_when_reused])
def test_a_connection_that_died_in_the_pool_costs_an_upload_nothing(send, upstream, studio, close):
    upstream.script(studio.raw, close(answer(TEXT)))
    for _ in range(4):
        assert send(MODEL + file() + END).json() == TEXT


def test_an_upload_that_reached_the_provider_is_not_sent_twice(send, upstream, studio):
    upstream.script(studio.raw, answers.closed(), answer(TEXT))
    upstream.hang_up_idle()
    time.sleep(0.05)
    envelope(send(MODEL + file() + END), 502, "upstream_error")
    assert len(upstream.received(studio.raw)) == 1


def test_full_disk_is_reported(send, upstream, studio, folder):
    moved = folder.with_name("elsewhere")
    folder.rename(moved)
    try:
        response = send(MODEL + file() + END)
    finally:
        moved.rename(folder)
    envelope(response, 503, "service_unavailable")
    assert upstream.received(studio.raw) == []


def test_many_uploads_at_once_arrive_whole(small, studio, upstream, send):
    sounds = [os.urandom(200_000) for _ in range(24)]
    bodies = [MODEL + text("prompt", str(n)) + file(data) + END for n, data in enumerate(sounds)]
    with ThreadPoolExecutor(8) as threads:
        assert all(response.json() == TEXT for response in threads.map(send, bodies))
    got = {one.fields("prompt")[0]: one.form[-1].data for one in upstream.received(studio.raw)}
    assert got == {
        str(n): body.partition(b"wav\r\n\r\n")[2].rpartition(b"\r\n--")[0] for n, body in enumerate(bodies)
    }


def test_files_of_several_fields_keep_their_order(send, upstream, studio):
    upstream.script(studio.raw, answer(pictures()))
    body = (
        text("prompt") + b"".join(file(bytes([n]), "image[]") for n in range(9)) + file(b"m", "mask") + MODEL
    )
    assert send(body + END, path="/images/edits").status_code == 200
    files = [(one.name, one.data) for one in upstream.last(studio.raw).form if one.filename]
    assert files == [*(("image[]", bytes([n])) for n in range(9)), ("mask", b"m")]


def test_a_form_on_a_route_of_json_is_refused(send):
    envelope(send(MODEL + END, path="/images/generations"), 415, "unsupported_media_type")
    envelope(send(MODEL + END, path="/embeddings"), 415, "unsupported_media_type")


def test_events_of_an_upload_arrive_whole(send, upstream, studio):
    upstream.script(studio.raw, stream(*TRANSCRIPT_EVENTS, delay=0.05))
    got = events(send(MODEL + text("stream", "true") + file(bytes(MEGABYTE)) + END).text)
    assert got[-1]["text"] == "Hello there."
