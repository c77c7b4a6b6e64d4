"""A running gateway: real processes on a real port, as in production."""

import os
import socket
import sys
from pathlib import Path

import httpx

from gtapi.stack.process import ManagedProcess
from tests import environment
from tests.wire import PLAIN


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class GatewayProcess(ManagedProcess):
    """gunicorn with the configuration of production, on a free port; `variables` change its environment."""

    def __init__(
        self, name: str = "gateway", *, workers: int = 2, awaiting: str = "/readyz", **variables: str
    ) -> None:
        self.awaiting = awaiting
        self.port = free_port()
        super().__init__(name, environment.LOGS / f"{name}-{self.port}.log")
        self.workers = workers
        self.variables = variables

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What a client is given as its base URL."""
        return f"{self.url}/api/tenant"

    def command(self) -> list[str]:
        return [
            sys.executable, "-m", "gunicorn", "gtapi.asgi:application",
            "--config", str(environment.CHECKOUT / "gtapi" / "gunicorn.py"),
            "--workers", str(self.workers), "--bind", f"127.0.0.1:{self.port}",
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        return {**os.environ, "GRACEFUL_TIMEOUT": "2", **self.variables}

    def is_ready(self) -> bool:
        try:
            return PLAIN.get(f"{self.url}{self.awaiting}").status_code == 200
        except httpx.TransportError:
            return False

    def exit_reason(self) -> str:
        # The log's folder is deleted at the end, so the message includes the log.
        return f"{super().exit_reason()}\n{self.log_tail()}"

    def said(self) -> str:
        """What its processes wrote to their log."""
        return Path(self.log).read_text(errors="replace")


class WorkerProcess(ManagedProcess):
    """A Celery worker and its beat, in one process: usage reaches the database through it."""

    stop_signals = ManagedProcess.stop_signals

    def __init__(self, name: str = "worker", **variables: str) -> None:
        super().__init__(name, environment.LOGS / f"{name}.log")
        self.variables = variables

    def command(self) -> list[str]:
        return [
            sys.executable, "-m", "celery", "--app", "gtapi", "worker", "--beat", "--concurrency", "1",
            "--schedule", str(environment.ROOT / f"{self.name}-beat"), "--loglevel", "INFO",
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        return {**os.environ, "GRACEFUL_TIMEOUT": "2", **self.variables}

    def is_ready(self) -> bool:
        return "ready." in self.log_tail()


class IngestProcess(ManagedProcess):
    """A Celery worker of the queue `ingest`; its leases are short, so that a killed one is soon replaced."""

    queue, processes = "ingest", 2

    def __init__(self, name: str = "", **variables: str) -> None:
        name = name or self.queue
        super().__init__(name, environment.LOGS / f"{name}.log")
        self.variables = variables

    def command(self) -> list[str]:
        return [
            sys.executable, "-m", "celery", "--app", "gtapi", "worker",
            "--queues", self.queue, "--concurrency", str(self.processes),
            "--hostname", f"{self.name}@%h", "--without-mingle", "--without-gossip", "--loglevel", "INFO",
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        return {**os.environ, "INGEST_LEASE_SECONDS": "4", **self.variables}

    def is_ready(self) -> bool:
        # With work to do it says much more soon after.
        return "ready." in self.log_tail(10**6)

    def pool(self) -> list[int]:
        """The ids of its worker processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(child) for child in children.split()]

    def said(self) -> str:
        """What its processes wrote to their log."""
        return Path(self.log).read_text(errors="replace")


class OCRProcess(IngestProcess):
    """A Celery worker of the queue `ocr`."""

    queue, processes = "ocr", 1
