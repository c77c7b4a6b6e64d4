"""The two servers of a data_dir, and how commands share them.

They have one owner at a time, which holds the lock `stack.lock`: the launcher (`manage.py run`), or a keeper
that the first command starts and that leaves when no command uses the servers any more. What the owner is up
to stands in the lock's file; a note whose lock is free means nothing.
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

#: Commands that do without a database, and the launcher, which sees to its servers by itself.
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
    """Who runs the servers: `launcher` or `keeper`, its process id, and `starting`, `ready` or `stopping`."""

    kind: str
    pid: int
    state: str


class EmbeddedServers:
    """The locks of one home = around its servers."""

    def __init__(self, data_dir: DataDir) -> None:
        self.data_dir = data_dir
        self.ownership = FileLock(data_dir.path / "stack.lock")
        self.users = FileLock(data_dir.path / "users.lock")

    def servers(self, pause: Pause = sleep) -> list[Server]:
        """The servers that the environment does not name, in the order in which to start them."""
        # Imported here, because a command that finds the servers running needs none of it.
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
        """Give the ownership up, once the servers have been stopped."""
        with suppress(OSError):  # not empty where a server was killed: the next one tidies up
            self.data_dir.runtime.rmdir()
        self.ownership.release()

    def write_note(self, kind: str, state: str) -> None:
        self.ownership.write_note(f"{kind} {os.getpid()} {state}")

    def owner(self) -> ServerOwner | None:
        """Who owns the servers at this moment; None when nobody does."""
        lock = FileLock(self.ownership.file)
        try:
            if lock.acquire(shared=True):
                return None
            kind, pid, state = lock.read_note().split()
            return ServerOwner(kind, int(pid), state)
        except ValueError:  # it has the lock and has not written its note yet
            return ServerOwner("background", 0, "starting")
        finally:
            lock.release()


@contextmanager
def running_servers(arguments: Sequence[str], data_dir: DataDir) -> Iterator[None]:
    """Have the servers of `home` running while a command with these arguments, as in sys.argv, does its work.

    Where the environment names servers of its own, nothing is started. Raises StackError.
    """
    ours = uses_embedded_redis(os.environ, data_dir) or uses_embedded_postgres(os.environ)
    if not ours or not _needs_servers(arguments):
        yield
        return
    stack = EmbeddedServers(data_dir)
    # Held back only while a keeper stop_signals the servers that its last user has left.
    if not stack.users.wait(SECONDS_TO_STOP, sleep, shared=True):
        raise StackError(f"Some process has kept {stack.users.file} to itself for {SECONDS_TO_STOP:.0f} s.")
    try:
        _have_running(stack)
        yield
    finally:
        _leave(stack)


def _needs_servers(arguments: Sequence[str]) -> bool:
    command, *options = arguments[1:] or ["help"]
    if command in WITHOUT_SERVERS or "--help" in options or "-h" in options:
        return False
    return command != "check" or any(option.startswith("--database") for option in options)


def _have_running(stack: EmbeddedServers) -> None:
    """Return once somebody's servers are ready, starting a keeper where nobody owns them."""
    keeper: subprocess.Popen[str] | None = None
    deadline = monotonic() + SECONDS_TO_START
    while monotonic() < deadline:
        owner = stack.owner()
        if owner is not None and owner.state == "ready":
            return
        if keeper is not None and keeper.poll():
            said = keeper.stderr.read().strip() if keeper.stderr else ""
            raise StackError(said or f"The servers under {stack.data_dir.path} did not start.")
        if owner is None and (keeper is None or keeper.poll() is not None):
            keeper = _start_keeper(stack.data_dir)
        sleep(0.02)
    raise StackError(
        f"The servers under {stack.data_dir.path} were not ready within {SECONDS_TO_START:.0f} s."
    )


def _start_keeper(data_dir: DataDir) -> subprocess.Popen[str]:
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
    """Stop using the servers; the last of a keeper's users returns when they are down."""
    users = stack.users
    alone = users.acquire()
    if not alone and users.acquire(shared=True):
        users.release()
        return
    # Nobody else uses them, or their keeper has just found that out by itself.
    owner = stack.owner()
    deadline = monotonic() + SECONDS_TO_STOP
    if owner is not None and owner.kind == "background":
        if alone and owner.pid:
            os.kill(owner.pid, signal.SIGTERM)
        while stack.owner() is not None and monotonic() < deadline:
            sleep(0.02)
    users.release()
