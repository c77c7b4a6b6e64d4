"""Runs a whole gateway on one machine: the servers, the local models, Celery and the web server."""

import errno
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from gtapi.data_dir import DataDir
from gtapi.stack import postgres, redis, startup
from gtapi.stack.console import Console
from gtapi.stack.demo import DemoTenant
from gtapi.stack.embedded import EmbeddedServers
from gtapi.stack.environment import uses_embedded_postgres, uses_embedded_redis
from gtapi.stack.errors import Interrupted, StackError
from gtapi.stack.locks import FileLock
from gtapi.stack.process import ManagedProcess, Server, die_with_parent
from gtapi.stack.services import (
    BeatScheduler,
    DefaultWorker,
    IngestWorker,
    LocalModelServer,
    OCRWorker,
    WebServer,
    listen_on,
)
from gtapi.stack.signals import ShutdownSignals
from gtapi.stack.supervisor import Supervisor
from gtapi.text import pluralize

SECONDS_FOR_COMMANDS = 20.0
SECONDS_FOR_THE_DEAD = 15.0
LOOKS_EVERY = 0.25
#: Bytes that have to be free on the disk: a new cluster is 40 MB and grows by log files of 16 MB.
FREE_FOR_A_CLUSTER = 200_000_000
FREE_AT_ALL = 50_000_000


@dataclass(frozen=True)
class LaunchOptions:
    host: str
    port: int
    #: Whether to run the models of this machine, where no other provider is named.
    local_models: bool
    #: The provider of the demo tenant in place of them; its key is in DEMO_PROVIDER_API_KEY.
    provider_url: str


class Launcher:
    """One run, from the first check to the last part's end."""

    def __init__(self, data_dir: DataDir, options: LaunchOptions) -> None:
        self.data_dir = data_dir
        self.options = options
        self.console = Console()
        self.signals = ShutdownSignals()
        self.embedded = EmbeddedServers(data_dir)
        self.alive = FileLock(data_dir.path / "parts.lock")
        self.parts: list[ManagedProcess] = []
        self.owning = False

    def run(self) -> None:
        """Serve until SIGINT, SIGTERM or SIGHUP. Raises StackError when a part cannot be started."""
        if "MAKELEVEL" in os.environ:  # `make` is killed: the end of what it runs, too
            die_with_parent(signal.SIGTERM)
        with self.signals:
            try:
                self._serve()
            except Interrupted:
                self.console.write("")
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise StackError(f"The disk that holds {self.data_dir.path} is full.") from None
                if isinstance(error, FileNotFoundError):
                    # Where a whole folder goes, it may be any file in it that is missed first.
                    self._check_home(error.filename)
                raise
            finally:
                self._stop()

    def _serve(self) -> None:
        self._check()
        self._own()
        web = WebServer(
            self.data_dir, self.alive, self.signals.pause, listen_on(self.options.host, self.options.port)
        )
        try:
            provider = self._start_models()
            servers = self._start_servers()
            startup.load_django()
            for server in servers:
                self._await(server)
            self.embedded.write_note("launcher", "ready")
            self._fill_database()
            self._start(DefaultWorker(self.data_dir, self.alive, self.signals.pause))
            self._start(IngestWorker(self.data_dir, self.alive, self.signals.pause))
            self._start(OCRWorker(self.data_dir, self.alive, self.signals.pause))
            self._start(BeatScheduler(self.data_dir, self.alive, self.signals.pause))
            self._start(web)
            demo = DemoTenant(self.data_dir, web.url, self.console)
            demo.apply(provider)
            for part in self.parts:
                if part not in servers:
                    self._await(part)
            demo.announce()
            self._watch()
        finally:
            web.listener.close()

    def _check(self) -> None:
        if uses_embedded_postgres(os.environ):
            postgres.binaries()
        if uses_embedded_redis(os.environ, self.data_dir):
            redis.binary()
        fresh = uses_embedded_postgres(os.environ) and not (self.data_dir.path / "postgres").exists()
        needed = FREE_FOR_A_CLUSTER if fresh else FREE_AT_ALL
        free = shutil.disk_usage(self.data_dir.path).free
        if free < needed:
            raise StackError(
                f"The disk that holds {self.data_dir.path} is full: {free // 10**6} MB are free, "
                f"{needed // 10**6} MB are needed."
            )

    def _own(self) -> None:
        owner = self.embedded.owner()
        if owner is not None and owner.kind == "launcher" and owner.state == "ready":
            raise StackError(f"A gateway runs under {self.data_dir.path} already (process {owner.pid}).")
        if not self.embedded.ownership.wait(SECONDS_FOR_COMMANDS, self.signals.pause):
            raise StackError(
                f"Another command uses the database under {self.data_dir.path}: end it, then start the gateway."
            )
        self.owning = True
        self.embedded.write_note("launcher", "starting")
        # The parts of a launcher that was killed follow it by themselves; only a new one can come too early.
        if not self.alive.wait(SECONDS_FOR_THE_DEAD, self.signals.pause):
            raise StackError(f"Processes of an earlier run under {self.data_dir.path} have not ended.")

    def _start(self, part: ManagedProcess) -> None:
        self.parts.append(part)
        part.start()

    def _await(self, part: ManagedProcess) -> None:
        try:
            part.wait_ready()
        except StackError as error:
            if not isinstance(part, LocalModelServer):
                raise
            self.console.log(f"{error} The gateway serves without them.")
        else:
            self.console.log(f"{part.name} answers" if part.name != "Local models" else "Local models answer")

    def _start_servers(self) -> list[Server]:
        servers = self.embedded.servers(self.signals.pause)
        for server in servers:
            if not server.data.exists():
                self.console.log(f"{server.name}: making {server.data}")
            self._start(server)
        return servers

    def _start_models(self) -> list[str]:
        """Start the local models where they are wanted; returns what to tell the demo of its provider."""
        if self.options.provider_url:
            return ["--provider-url", self.options.provider_url]
        if not self.options.local_models:
            why = "the local ones are switched off (LOCAL_MODELS=0)"
        else:
            models = LocalModelServer(self.data_dir, self.alive, self.signals.pause)
            if models.installed():
                self._start(models)
                return ["--local-models-url", models.base_url]
            why = "the packages of the local ones are not installed (requirements/local.txt)"
        self.console.log(f"There are no models: {why}, and DEMO_PROVIDER_BASE_URL is not set.")
        return []

    def _fill_database(self) -> None:
        startup.check_redis()
        steps = startup.migrate()
        startup.disconnect()
        if steps:
            self.console.log(f"Database migrated in {pluralize(steps, 'step')}")

    def _watch(self) -> None:
        supervisors = [Supervisor(part, self.console) for part in self.parts]
        while True:
            self.signals.pause(LOOKS_EVERY)
            for supervisor in supervisors:
                self._check_home()  # a part that is started again would make the folder anew, and an empty one
                supervisor.check()

    def _check_home(self, missing: object = None) -> None:
        """Raises StackError where the data_dir, or what is `missing` of it, has been removed under the gateway."""
        inside = isinstance(missing, str | Path) and Path(missing).is_relative_to(self.data_dir.path)
        if inside or (self.owning and not self.embedded.ownership.is_current()):
            raise StackError(
                f"{self.data_dir.path} was removed while the gateway ran: start it again."
            ) from None

    def _stop(self) -> None:
        """Stop the parts in the reverse of the order in which they were started."""
        if self.owning:
            self.embedded.write_note("launcher", "stopping")
        force = False
        while self.parts:
            part = self.parts[-1]
            try:
                part.stop(force=force)
                self.console.log(f"{part.name} stopped")
            except KeyboardInterrupt:  # asked twice: no more waiting for requests in flight
                force = True
            else:
                self.parts.pop()
        self.alive.release()
        if self.owning:
            self.embedded.leave()
