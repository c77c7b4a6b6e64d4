"""Fixtures: the real server in a separate process, shared by all tests here."""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import openai
import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
TIMEOUT = 60.0


@dataclass
class LocalModels:
    """A running server."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self) -> "LocalModels":
        """Wait until requests are answered at once."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            listening = re.search(r"listening on http://127.0.0.1:(\d+)", self.log.read_text())
            self.port = int(listening[1]) if listening else 0
            try:
                if httpx.get(f"{self.url}/healthz", timeout=TIMEOUT).status_code == 200:
                    return self
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)


def start(data: Path, log: Path, port: int = 0) -> LocalModels:
    """Start a server on a free port, unless one is given."""
    command = [sys.executable, "-m", "local_models", "--port", str(port), "--data", str(data)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=CHECKOUT, stdout=output, stderr=subprocess.STDOUT)
    return LocalModels(process, log)


@pytest.fixture(scope="session")
def database() -> None:
    """Override: these tests need neither PostgreSQL nor Redis."""


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Iterator[Path]:
    """A directory for the weights, deleted afterwards because of its size."""
    folder = tmp_path_factory.mktemp("models")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def models(data, tmp_path_factory) -> Iterator[LocalModels]:
    running = start(data, tmp_path_factory.mktemp("log") / "models.log")
    yield running.wait()
    running.process.kill()
    running.process.wait()


@pytest.fixture(scope="session")
def client(models) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{models.url}/v1", api_key="none", max_retries=0) as sdk:
        yield sdk


@pytest.fixture(scope="session")
def http(models) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=models.url, timeout=TIMEOUT) as session:
        yield session
