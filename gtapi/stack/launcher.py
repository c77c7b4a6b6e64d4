"""The launcher (`manage.py run`): runs embedded servers, local models, Celery and the web server on one machine."""

import errno
import importlib
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

COMMAND_SECONDS = 20.0
ORPHAN_SECONDS = 15.0
CHECK_INTERVAL = 0.25
#: Bytes of free disk space required: a new cluster has 40 MB and grows by log files of 16 MB.
NEW_CLUSTER_BYTES = 200_000_000
MIN_FREE_BYTES = 50_000_000


@dataclass(frozen=True)
class LaunchOptions:
    host: str
    port: int
    #: Whether to run local models if no other provider is configured.
    local_models: bool
    #: Provider of the demo tenant instead of local models; its API key is DEMO_PROVIDER_API_KEY.
    provider_url: str


class Launcher:
    """One run of the gateway, from the first check until the last service has stopped."""

    def __init__(self, data_dir: DataDir, options: LaunchOptions) -> None:
        self.data_dir = data_dir
        self.options = options
        self.console = Console()
        self.signals = ShutdownSignals()
        self.embedded = EmbeddedServers(data_dir)
        self.alive = FileLock(data_dir.path / "services.lock")
        self.processes: list[ManagedProcess] = []
        self.owning = False

    def run(self) -> None:
        """Serve until SIGINT, SIGTERM or SIGHUP. Raises StackError if a service cannot be started."""
        if "MAKELEVEL" in os.environ:  # if `make` is killed, stop, too
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
                    # If the data directory was removed, any of its files may be missed first.
                    self._check_data_dir(error.filename)
                raise
            finally:
                self._stop()

    def _serve(self) -> None:
        self._check()
        self._acquire_ownership()
        web = WebServer(
            self.data_dir, self.alive, self.signals.pause, listen_on(self.options.host, self.options.port)
        )
        try:
            provider = self._start_models()
            servers = self._start_servers()
            startup.load_django()
            # Celery replaces its module while it is imported, so two threads must not be the first to do it.
            importlib.import_module("celery")
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
            for process in self.processes:
                if process not in servers:
                    self._await(process)
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
        needed = NEW_CLUSTER_BYTES if fresh else MIN_FREE_BYTES
        free = shutil.disk_usage(self.data_dir.path).free
        if free < needed:
            raise StackError(
                f"The disk that holds {self.data_dir.path} is full: {free // 10**6} MB are free, "
                f"{needed // 10**6} MB are needed."
            )

    def _acquire_ownership(self) -> None:
        owner = self.embedded.owner()
        if owner is not None and owner.kind == "launcher" and owner.state == "ready":
            raise StackError(f"A gateway is already running in {self.data_dir.path} (process {owner.pid}).")
        if not self.embedded.ownership.wait(COMMAND_SECONDS, self.signals.pause):
            raise StackError(
                f"Another command is using the database in {self.data_dir.path}. Wait for it, then retry."
            )
        self.owning = True
        self.embedded.write_note("launcher", "starting")
        # The services of a killed launcher end automatically, but that takes a moment.
        if not self.alive.wait(ORPHAN_SECONDS, self.signals.pause):
            raise StackError(f"Processes of an earlier run in {self.data_dir.path} are still running.")

    def _start(self, process: ManagedProcess) -> None:
        self.processes.append(process)
        process.start()

    def _await(self, process: ManagedProcess) -> None:
        try:
            process.wait_ready()
        except StackError as error:
            if not isinstance(process, LocalModelServer):
                raise
            self.console.log(f"{error} Continuing without local models.")
        else:
            self.console.log(
                f"{process.name} {'are' if isinstance(process, LocalModelServer) else 'is'} ready"
            )

    def _start_servers(self) -> list[Server]:
        servers = self.embedded.servers(self.signals.pause)
        for server in servers:
            if not server.data.exists():
                self.console.log(f"{server.name}: creating {server.data}")
            self._start(server)
        return servers

    def _start_models(self) -> list[str]:
        """Start the local models if they are enabled. Returns the provider's arguments for the command `demo`."""
        if self.options.provider_url:
            return ["--provider-url", self.options.provider_url]
        if not self.options.local_models:
            reason = "local models are disabled (LOCAL_MODELS=0)"
        else:
            models = LocalModelServer(self.data_dir, self.alive, self.signals.pause)
            if models.installed():
                self._start(models)
                return ["--local-models-url", models.base_url]
            reason = "the packages of local models are not installed (requirements/local.txt)"
        self.console.log(f"No models: {reason}, and DEMO_PROVIDER_BASE_URL is not set.")
        return []

    def _fill_database(self) -> None:
        startup.check_redis()
        steps = startup.migrate()
        startup.disconnect()
        if steps:
            self.console.log(f"Applied {pluralize(steps, 'migration')}")

    def _watch(self) -> None:
        supervisors = [Supervisor(process, self.console) for process in self.processes]
        while True:
            self.signals.pause(CHECK_INTERVAL)
            for supervisor in supervisors:
                self._check_data_dir()  # before a restarted service creates an empty one
                supervisor.check()

    def _check_data_dir(self, missing: object = None) -> None:
        """Raises StackError if the data directory, or the file `missing` in it, has been removed."""
        inside = isinstance(missing, str | Path) and Path(missing).is_relative_to(self.data_dir.path)
        if inside or (self.owning and not self.embedded.ownership.is_current()):
            raise StackError(
                f"{self.data_dir.path} was removed while the gateway was running. Restart it."
            ) from None

    def _stop(self) -> None:
        """Stop the services in reverse start order."""
        if self.owning:
            self.embedded.write_note("launcher", "stopping")
        force = False
        while self.processes:
            process = self.processes[-1]
            try:
                process.stop(force=force)
                self.console.log(f"{process.name} stopped")
            except KeyboardInterrupt:  # second signal: do not wait for requests in progress
                force = True
            else:
                self.processes.pop()
        self.alive.release()
        if self.owning:
            self.embedded.leave()
