"""Fixtures of the conformance suite: each test runs once for each adapter."""

from pathlib import Path

import pytest
import pytest_asyncio

from inference.providers import ADAPTERS
from inference.providers.http_client import connected
from tests.e2e import media
from tests.providers.scripts import SCRIPTS
from tests.providers.subject import Subject


@pytest.fixture(params=list(ADAPTERS))
def kind(request) -> str:
    return request.param


@pytest.fixture
def files(tmp_path) -> dict[str, Path]:
    paths = {"file": tmp_path / "file.wav", "image": tmp_path / "file.png"}
    paths["file"].write_bytes(media.WAV)
    paths["image"].write_bytes(media.PNG)
    return paths


@pytest_asyncio.fixture
async def subject(kind, upstream, files):
    async with connected():
        yield Subject(kind, ADAPTERS[kind], SCRIPTS[kind], upstream, files)
