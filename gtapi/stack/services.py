"""The gateway's services as child processes of the launcher: web, workers, beat and local models."""

import errno
import hashlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from time import time

from gtapi.data_dir import CHECKOUT, DataDir, write_private_file
from gtapi.stack.errors import StackError
from gtapi.stack.locks import FileLock
from gtapi.stack.process import ManagedProcess, Pause

# Below the range that Linux uses for outgoing connections.
MODEL_PORTS = range(20000, 32000)
SECONDS_TO_DRAIN = 30
BACKLOG = 4096


class Service(ManagedProcess):
    """A Python process of this checkout, configured by environment variables."""

    #: Arguments of the Python interpreter.
    arguments: tuple[str, ...]

    def __init__(self, name: str, data_dir: DataDir, alive: FileLock, pause: Pause) -> None:
        super().__init__(name, data_dir.logs / f"{name.lower().replace(' ', '-')}.log", pause)
        self.data_dir = data_dir
        self.alive = alive

    def command(self) -> list[str]:
        # Run modules rather than scripts: a shebang line cannot contain spaces or a long path.
        return [sys.executable, "-m", *self.arguments]

    def environment(self) -> dict[str, str]:
        variables = {
            "GTAPI_HOME": str(self.data_dir.root),
            "DJANGO_SETTINGS_MODULE": "gtapi.settings",
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "PYTHONUNBUFFERED": "1",
        }
        return {name: value for name, value in os.environ.items() if not name.startswith("DEMO_")} | variables

    def inherited_descriptors(self) -> tuple[int, ...]:
        return (self.alive.descriptor,)


class LocalModelServer(Service):
    """An OpenAI-compatible server with small models on this machine, listening on the loopback interface."""

    start_timeout = 180.0

    def __init__(self, data_dir: DataDir, alive: FileLock, pause: Pause) -> None:
        super().__init__("Local models", data_dir, alive, pause)
        self.port = _persistent_port(data_dir.path / "models.port")
        self.arguments = ("local_models", "--port", str(self.port))

    def installed(self) -> bool:
        """Whether the packages of at least one model are installed."""
        command = [sys.executable, "-m", *self.arguments, "--list"]
        result = subprocess.run(command, env=self.environment(), cwd="/", capture_output=True, check=False)
        return result.returncode == 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def is_ready(self) -> bool:
        return _is_healthy(f"http://127.0.0.1:{self.port}/healthz")


class WebServer(Service):
    """gunicorn, on a socket that the launcher opens: during a restart, clients wait and are not refused."""

    stop_signals = ((signal.SIGTERM, SECONDS_TO_DRAIN + 5.0), (signal.SIGQUIT, 3.0))

    def __init__(self, data_dir: DataDir, alive: FileLock, pause: Pause, listener: socket.socket) -> None:
        super().__init__("Web", data_dir, alive, pause)
        self.listener = listener
        self.arguments = ("gunicorn", "-c", str(CHECKOUT / "gtapi" / "gunicorn.py"), "gtapi.asgi:application")
        host, self.port = listener.getsockname()[:2]
        self.host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def environment(self) -> dict[str, str]:
        variables = {"WEB_BIND": f"fd://{self.listener.fileno()}", "GRACEFUL_TIMEOUT": str(SECONDS_TO_DRAIN)}
        return super().environment() | variables

    def inherited_descriptors(self) -> tuple[int, ...]:
        return (*super().inherited_descriptors(), self.listener.fileno())

    def is_ready(self) -> bool:
        return _is_healthy(f"{self.url}/healthz")


#: A process that uses more memory, in KiB, is replaced when it is idle.
MEMORY_LIMIT = ("--max-memory-per-child", "400000")


class CeleryWorker(Service):
    """A Celery worker of one queue."""

    stop_signals = ((signal.SIGTERM, 10.0), (signal.SIGQUIT, 3.0))

    def __init__(
        self,
        name: str,
        queue: str,
        data_dir: DataDir,
        alive: FileLock,
        pause: Pause,
        *options: str,
        processes: int = 2,
    ) -> None:
        super().__init__(name, data_dir, alive, pause)
        # Gateways that share a Redis need different names.
        self.node = f"{name.lower()}-{hashlib.sha256(os.fsencode(data_dir.root)).hexdigest()[:8]}@gtapi"
        self.arguments = (
            "celery",
            "-A",
            "gtapi",
            "worker",
            "--hostname",
            self.node,
            "--queues",
            queue,
            "--concurrency",
            str(processes),
            "--loglevel",
            "WARNING",
            "--without-mingle",
            "--without-gossip",
            *options,
        )

    def is_ready(self) -> bool:
        from celery import Celery
        from django.conf import settings
        from kombu.exceptions import OperationalError
        from redis import RedisError

        try:
            with Celery(broker=settings.CELERY_BROKER_URL, set_as_current=False) as client:
                return bool(client.control.ping(destination=[self.node], timeout=0.3))
        except (OperationalError, RedisError, OSError):
            return False


class DefaultWorker(CeleryWorker):
    """Stores usage records in the database, and runs all other short tasks."""

    def __init__(self, data_dir: DataDir, alive: FileLock, pause: Pause) -> None:
        super().__init__("Worker", "celery", data_dir, alive, pause)


class IngestWorker(CeleryWorker):
    """Processes uploaded files."""

    def __init__(self, data_dir: DataDir, alive: FileLock, pause: Pause) -> None:
        super().__init__("Ingest", "ingest", data_dir, alive, pause, *MEMORY_LIMIT)


class OCRWorker(CeleryWorker):
    """Processes uploaded files that need OCR, one at a time."""

    def __init__(self, data_dir: DataDir, alive: FileLock, pause: Pause) -> None:
        super().__init__("OCR", "ocr", data_dir, alive, pause, *MEMORY_LIMIT, processes=1)


class BeatScheduler(Service):
    """Celery beat, which schedules periodic tasks."""

    def __init__(self, data_dir: DataDir, alive: FileLock, pause: Pause) -> None:
        super().__init__("Beat", data_dir, alive, pause)
        self.folder = data_dir.path / "beat"
        schedule = str(self.folder / "schedule")
        self.arguments = (
            "celery",
            "-A",
            "gtapi",
            "beat",
            "--schedule",
            schedule,
            "--pidfile=",
            "-l",
            "WARNING",
        )
        self._started = 0.0

    def start(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._started = time()
        super().start()

    def is_ready(self) -> bool:
        """Whether it has written its schedule file since it was started."""
        return any(file.stat().st_mtime >= self._started - 0.1 for file in self.folder.iterdir())


def listen_on(host: str, port: int) -> socket.socket:
    """Return a listening socket for gunicorn. Raises StackError if the address is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)  # binding alone does not reserve the address
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise StackError(
                f"Port {port} is already in use. Choose another, for example `make run PORT={port + 1}`."
            ) from None
        raise StackError(f"Cannot listen on {host}, port {port}: {error.strerror}.") from None
    return listener


def _is_healthy(url: str) -> bool:
    try:
        # Ignore proxies that the environment configures.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


def _persistent_port(file: Path) -> int:
    """A port that is the same in each run, since the demo tenant's provider refers to it."""
    try:
        port = int(file.read_text())
    except (FileNotFoundError, ValueError):
        port = 0
    while not port or not _is_bindable(port):
        port = secrets.choice(MODEL_PORTS)
    write_private_file(file, str(port))
    return port


def _is_bindable(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
