"""The embedded servers of a data directory, and how commands share them.

The servers have one owner at a time, which holds the lock `stack.lock`: the launcher (`manage.py run`), or a
background process (`gtapi.stack.shared_servers`) that the first command starts and that exits after the last one.
The owner writes its state into the lock file, which is only meaningful while the lock is held.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import NamedTuple

from gtapi.data_dir import CHECKOUT, DataDir
from gtapi.stack.environment import uses_embedded_postgres, uses_embedded_redis
from gtapi.stack.errors import StackError
from gtapi.stack.locks import FileLock
from gtapi.stack.process import Pause, Server, sleep

SECONDS_TO_START = 120.0
SECONDS_TO_STOP = 40.0
FOREVER = float("inf")

#: Commands that do not need a database, and `run`, which starts its own servers.
WITHOUT_SERVERS = frozenset(
    {
        "-h",
        "--help",
        "--version",
        "collectstatic",
        "compilemessages",
        "diffsettings",
        "findstatic",
        "help",
        "makemessages",
        "openapi",
        "run",
        "startapp",
        "version",
    }
)


class ServerOwner(NamedTuple):
    """The owner of the servers: `launcher` or `background`, and its state: `starting`, `ready` or `stopping`."""

    kind: str
    pid: int
    state: str


class EmbeddedServers:
    """The embedded servers of a data directory, and the locks that coordinate their use."""

    def __init__(self, data_dir: DataDir) -> None:
        self.data_dir = data_dir
        self.ownership = FileLock(data_dir.path / "stack.lock")
        self.users = FileLock(data_dir.path / "users.lock")

    def servers(self, pause: Pause = sleep) -> list[Server]:
        """The servers to run, in start order; external ones are not included."""
        # Imported here, because most commands find the servers running.
        from gtapi.stack.postgres import Postgres
        from gtapi.stack.redis import Redis

        data_dir = self.data_dir
        sockets = data_dir.make_runtime()
        servers: list[Server] = []
        if uses_embedded_redis(os.environ, data_dir):
            servers.append(Redis(data_dir.path / "redis", sockets, data_dir.logs / "redis.log", pause))
        if uses_embedded_postgres(os.environ):
            log = data_dir.logs / "postgres.log"
            servers.append(Postgres(data_dir.path / "postgres", sockets, log, pause=pause))
        return servers

    def leave(self) -> None:
        """Release the ownership after the servers have stopped."""
        with suppress(OSError):  # not empty if a server was killed; the next start cleans up
            self.data_dir.runtime.rmdir()
        self.ownership.release()

    def write_note(self, kind: str, state: str) -> None:
        self.ownership.write_note(f"{kind} {os.getpid()} {state}")

    def owner(self) -> ServerOwner | None:
        """The current owner of the servers, or None."""
        lock = FileLock(self.ownership.file)
        try:
            if lock.acquire(shared=True):
                return None
            kind, pid, state = lock.read_note().split()
            return ServerOwner(kind, int(pid), state)
        except ValueError:  # it has the lock, but has not written its state yet
            return ServerOwner("background", 0, "starting")
        finally:
            lock.release()


@contextmanager
def running_servers(arguments: Sequence[str], data_dir: DataDir) -> Iterator[None]:
    """Keep the embedded servers running during a command with these arguments (sys.argv).

    Does nothing if only external servers are configured. Raises StackError.
    """
    embedded = uses_embedded_redis(os.environ, data_dir) or uses_embedded_postgres(os.environ)
    if not embedded or not _needs_servers(arguments):
        yield
        return
    stack = EmbeddedServers(data_dir)
    # Waits only while a background process is stopping the servers.
    if not stack.users.wait(SECONDS_TO_STOP, sleep, shared=True):
        raise StackError(
            f"Another process has locked {stack.users.file} for more than {SECONDS_TO_STOP:.0f} s."
        )
    try:
        _ensure_running(stack)
        yield
    finally:
        _leave(stack)


def _needs_servers(arguments: Sequence[str]) -> bool:
    command, *options = arguments[1:] or ["help"]
    if command in WITHOUT_SERVERS or "--help" in options or "-h" in options:
        return False
    return command != "check" or any(option.startswith("--database") for option in options)


def _ensure_running(stack: EmbeddedServers) -> None:
    """Wait until the servers are ready; start a background process if they have no owner."""
    background: subprocess.Popen[str] | None = None
    deadline = monotonic() + SECONDS_TO_START
    while monotonic() < deadline:
        owner = stack.owner()
        if owner is not None and owner.state == "ready":
            return
        if background is not None and background.poll():
            message = background.stderr.read().strip() if background.stderr else ""
            raise StackError(message or f"The servers under {stack.data_dir.path} did not start.")
        if owner is None and (background is None or background.poll() is not None):
            background = _start_background(stack.data_dir)
        sleep(0.02)
    raise StackError(
        f"The servers under {stack.data_dir.path} were not ready within {SECONDS_TO_START:.0f} s."
    )


def _start_background(data_dir: DataDir) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gtapi.stack.shared_servers"],
        cwd=CHECKOUT,
        env=os.environ | {"GTAPI_HOME": str(data_dir.root)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _leave(stack: EmbeddedServers) -> None:
    """Stop using the servers. The last user of a background process waits until they have stopped."""
    users = stack.users
    last_user = users.acquire()
    if not last_user and users.acquire(shared=True):
        users.release()
        return
    # There are no other users, or the background process is already stopping.
    owner = stack.owner()
    deadline = monotonic() + SECONDS_TO_STOP
    if owner is not None and owner.kind == "background":
        if last_user and owner.pid:
            os.kill(owner.pid, signal.SIGTERM)
        while stack.owner() is not None and monotonic() < deadline:
            sleep(0.02)
    users.release()
