"""How much somebody who has not logged in can make the admin write to the disk."""

import httpx
import pytest

LIMIT = 100_000


@pytest.fixture
def gateway(start_gateway):
    return start_gateway(MAX_UPLOAD_BYTES=str(LIMIT))


def pieces(size: int):
    """A body whose size nobody declares."""
    for _ in range(size // 10_000):
        yield b"x" * 10_000


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_beyond_the_limit_of_uploads_is_refused(gateway, declared):
    size = LIMIT + 2 * 1024 * 1024
    body = b"x" * size if declared else pieces(size)
    try:
        answer = httpx.post(f"{gateway.url}/admin/login/", content=body, timeout=30)
    except (httpx.WriteError, httpx.ReadError):
        return  # it was told to stop before all of it was sent
    assert answer.status_code == 413


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_within_the_limit_is_read(gateway, declared):
    body = b"x" * LIMIT if declared else pieces(LIMIT)
    answer = httpx.post(f"{gateway.url}/admin/login/", content=body, timeout=30)
    # Without its token a form gets no further.
    assert answer.status_code == 403
