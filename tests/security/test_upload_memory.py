"""A file costs the gateway no memory, whatever its size, on its way in and on its way out."""

import httpx

from tests.security.test_memory import memory

MEGABYTE = 1 << 20
SIZE = 100 * MEGABYTE
#: Megabytes by which the process may grow: buffers, and what an allocator keeps.
ALLOWED = 8


def pieces():
    """A form with a file of 100 MB, made as it is sent."""
    yield b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
    yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="large.bin"\r\n\r\n'
    for _ in range(SIZE // MEGABYTE):
        yield bytes(MEGABYTE)
    yield b"\r\n--x--\r\n"


def test_a_large_file_passes_through_little_memory(start_gateway, world):
    gateway = start_gateway()
    form = {"content-type": "multipart/form-data; boundary=x"}
    with httpx.Client(
        base_url=gateway.base_url, headers=world.authorization, verify=False, timeout=120
    ) as http:
        small = http.post(
            "/files", data={"purpose": "assistants"}, files={"file": ("a.bin", b"x" * MEGABYTE)}
        )
        http.get(f"/files/{small.json()['id']}/content")
        before = memory(gateway)
        made = http.post("/files", content=pieces(), headers=form).json()
        assert made["bytes"] == SIZE
        assert memory(gateway) - before < ALLOWED
        size = 0
        with http.stream("GET", f"/files/{made['id']}/content") as content:
            for piece in content.iter_raw():
                size += len(piece)
        assert size == SIZE
        assert memory(gateway) - before < ALLOWED
        http.delete(f"/files/{made['id']}")
