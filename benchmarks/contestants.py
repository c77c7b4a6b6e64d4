"""The processes of the benchmark: PostgreSQL, Redis, the provider, Celery, and the gateways that are compared."""

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from gtapi.stack.postgres import Postgres
from gtapi.stack.process import ManagedProcess
from gtapi.stack.redis import Redis

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
BUILD = HERE / "build"
#: The public model name, and the raw model name that must never reach a client.
NAME, RAW = "bench", "bench-raw-model"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


def build() -> None:
    """Compile the provider and the load generator, and install the naive gateway's extra packages."""
    BUILD.mkdir(exist_ok=True)
    for name in ("upstream", "load"):
        source, program = HERE / f"{name}.c", BUILD / name
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            subprocess.run(["cc", "-O2", "-o", program, source], check=True)
    locked, packages = HERE / "requirements.txt", BUILD / "packages"
    stamp = packages / ".complete"
    if not stamp.exists() or stamp.stat().st_mtime < locked.stat().st_mtime:
        own = [sys.executable, "-m", "pip"] if find_spec("pip") else ["pip3", "--python", sys.executable]
        pip = [*own, "install", "--quiet", "--disable-pip-version-check"]
        options = ["--upgrade", "--target", packages, "--no-deps", "--require-hashes", "-r", locked]
        subprocess.run([*pip, *options], check=True)
        stamp.touch()


class BenchmarkProcess(ManagedProcess):
    """A process of the benchmark, with its log in the log folder."""

    def __init__(self, name: str, command: list[str], logs: Path, url: str = "", **variables: str) -> None:
        super().__init__(name, logs / f"{name}.log")
        self._command = command
        self.url = url
        self.variables = variables

    def command(self) -> list[str]:
        return self._command

    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.variables}

    def is_ready(self) -> bool:
        return is_healthy(self.url) if self.url else "ready." in self.log_tail() or self.name == "beat"

    def exit_reason(self) -> str:
        # The log folder is deleted at the end, so the message includes the log.
        return f"{super().exit_reason()}\n{self.log_tail()}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid


@dataclass
class Contestant:
    """A server that answers chat requests: a gateway, or the provider itself (`pids` is empty)."""

    name: str
    address: str
    key: str = "none"
    model: str = RAW
    pids: list[int] = field(default_factory=list)


class Field(ExitStack):
    """The environment of a benchmark: all processes, from `__enter__` to `__exit__`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.logs = folder / "logs"
        self.sockets = folder / "s"
        for one in (self.logs, self.sockets):
            one.mkdir(mode=0o700)
        self.postgres = Postgres(folder / "postgres", self.sockets, self.logs / "postgres.log")
        self.redis = Redis(folder / "redis", self.sockets, self.logs / "redis.log")
        self.port = free_port()

    def __enter__(self) -> Self:
        super().__enter__()
        build()
        self.enter_context(self.postgres)
        self.enter_context(self.redis)
        upstream = [str(BUILD / "upstream"), str(self.port)]
        self.upstream = self.enter_context(
            BenchmarkProcess("upstream", upstream, self.logs, self._url(self.port, "/stats"))
        )
        return self

    def start_celery(self) -> None:
        celery = [sys.executable, "-m", "celery", "--app", "gtapi"]
        schedule = str(self.folder / "beat")
        worker = [*celery, "worker", "--concurrency", "1", "--loglevel", "INFO"]
        beat = [*celery, "beat", "--schedule", schedule, "--pidfile="]
        self.worker = self.enter_context(BenchmarkProcess("worker", worker, self.logs))
        self.beat = self.enter_context(BenchmarkProcess("beat", beat, self.logs))

    def start_gateway(self, key: str) -> Contestant:
        """The product, with one worker process."""
        port = free_port()
        config = ["--config", str(CHECKOUT / "gtapi" / "gunicorn.py"), "gtapi.asgi:application"]
        return self._start_web("gateway", config, port, key)

    def start_naive(self, key: str) -> Contestant:
        """The naive gateway, see `benchmarks.naive`."""
        port = free_port()
        config = ["--worker-class", "uvicorn_worker.UvicornWorker", "benchmarks.naive.asgi:application"]
        variables = {
            "DJANGO_SETTINGS_MODULE": "benchmarks.naive.settings",
            "PYTHONPATH": os.pathsep.join([str(BUILD / "packages"), str(CHECKOUT)]),
        }
        return self._start_web("naive", config, port, key, **variables)

    def direct(self) -> Contestant:
        """No gateway: the provider called directly."""
        return Contestant("direct", f"127.0.0.1:{self.port}")

    def supporting(self) -> dict[str, list[int]]:
        """The processes that work for a gateway (Redis, PostgreSQL, workers), by name."""
        return {
            "Redis": [self.redis.process.pid if self.redis.process else 0],
            "PostgreSQL": [self.postgres.process.pid if self.postgres.process else 0],
            "workers": [self.worker.pid, self.beat.pid],
        }

    def peak_streams(self) -> int:
        """The largest number of simultaneous streams at the provider."""
        with urllib.request.urlopen(self._url(self.port, "/stats")) as response:
            return int(json.load(response)["peak_streams"])

    def log_tails(self) -> str:
        """The last lines of all logs."""
        return "\n".join(
            f"{log.name}: {log.read_text(errors='replace')[-1500:]}" for log in self.logs.iterdir()
        )

    def _start_web(self, name: str, config: list[str], port: int, key: str, **variables: str) -> Contestant:
        bind = ["--workers", "1", "--bind", f"127.0.0.1:{port}", "--backlog", "4096"]
        command = [sys.executable, "-m", "gunicorn", *config, *bind]
        part = BenchmarkProcess(name, command, self.logs, self._url(port, "/healthz"), **variables)
        self.enter_context(part)
        return Contestant(name, f"127.0.0.1:{port}", key, NAME, [part.pid])

    def _url(self, port: int, path: str) -> str:
        return f"http://127.0.0.1:{port}{path}"
