"""Managed child processes: start them, wait until they are ready, and stop them."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import BinaryIO, Self

from gtapi.stack.errors import StackError
from gtapi.stack.locks import FileLock

PR_SET_PDEATHSIG = 1
MIN_FREE_BYTES = 1024 * 1024
MAX_LOG_BYTES = 10 * 1024 * 1024
# Seconds to wait for the processes of a killed parent to end.
ORPHAN_SECONDS = 15.0

Pause = Callable[[float], object]

# Loaded before any fork: the dynamic loader takes locks.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent_death_signal: signal.Signals = signal.SIGKILL) -> None:
    """Make the kernel send this process `parent_death_signal` when the thread that started it ends.

    Linux only; does nothing elsewhere. Call it in the child, after any change of user, which resets it.
    """
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, int(parent_death_signal), 0, 0, 0)


def sleep(seconds: float) -> None:
    threading.Event().wait(seconds)


class ManagedProcess(ABC):
    """A child process with a log file, which cannot outlive its parent.

    Start it from the main thread: the kernel ties a child to the thread that forked it.
    """

    #: Signals that stop the process, in order, each with the seconds to wait; then SIGKILL.
    stop_signals: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 10.0),)
    #: Sent by the kernel when the parent dies.
    parent_death_signal = signal.SIGKILL
    #: Seconds in which it must become ready.
    start_timeout = 60.0

    def __init__(self, name: str, log: Path, pause: Pause = sleep) -> None:
        self.name = name
        self.log = log
        self.pause = pause
        self.process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @abstractmethod
    def command(self) -> list[str]:
        """Program and arguments. Must not contain secrets: other users can read them."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the process is ready."""

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def inherited_descriptors(self) -> tuple[int, ...]:
        """File descriptors that the child inherits."""
        return ()

    def start(self) -> None:
        """Start the process without waiting until it is ready. Raises StackError."""
        parent = os.getpid()

        def tie_to_parent() -> None:
            die_with_parent(self.parent_death_signal)
            if os.getppid() != parent:  # it died before the line above
                os._exit(1)

        command = self.command()
        with self._open_log() as log:
            self._log_start = log.seek(0, os.SEEK_END)
            try:
                self.process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self.environment(),
                    pass_fds=self.inherited_descriptors(),
                    start_new_session=True,  # Ctrl-C must only reach the launcher
                    preexec_fn=tie_to_parent,  # noqa: PLW1509 - takes no locks
                )
            except OSError as error:
                raise StackError(f"{self.name} cannot be started: {error.strerror}.") from None

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait_ready(self) -> None:
        """Wait until it is ready. Raises StackError if it ends, or is not ready within `start_timeout`."""
        deadline = monotonic() + self.start_timeout
        while not self.is_ready():
            if not self.is_running():
                raise StackError(f"{self.name} did not start: {self.exit_reason()}")
            if monotonic() > deadline:
                raise StackError(
                    f"{self.name} was not ready within {self.start_timeout:.0f} s; see {self.log}."
                )
            self.pause(0.03)

    def exit_reason(self) -> str:
        """Why the process has ended, in one sentence."""
        # If the disk is full, the log may not contain the reason.
        full = shutil.disk_usage(self.log.parent).free < MIN_FREE_BYTES
        if full or "No space left on device" in self.log_tail():
            return f"the disk that holds {self.log.parent} is full."
        code = self.process.returncode if self.process else None
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        return f"{how}; see {self.log}."

    def log_tail(self, size: int = 4000) -> str:
        """The last `size` bytes that it has logged since its last start."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - size))
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def stop(self, *, force: bool = False) -> None:
        """Stop the process and wait for its end. `force` skips the first, graceful signal."""
        if self.process is None:
            return
        for number, seconds in (*self.stop_signals[force:], (signal.SIGKILL, None)):
            if self.process.poll() is not None:
                break
            self.process.send_signal(number)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
        self.process = None

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _open_log(self) -> BinaryIO:
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > MAX_LOG_BYTES:
            shutil.move(self.log, self.log.with_suffix(".log.1"))
        return os.fdopen(os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


class Server(ManagedProcess):
    """A process with a data folder, which only one process may use at a time."""

    def __init__(self, name: str, data: Path, log: Path, pause: Pause = sleep) -> None:
        super().__init__(name, log, pause)
        self.data = data
        self._lock = FileLock(data.with_name(f".{data.name}.lock"))

    @abstractmethod
    def prepare(self) -> None:
        """Prepare the data folder before each start. Raises StackError."""

    def inherited_descriptors(self) -> tuple[int, ...]:
        return (self._lock.descriptor,)

    def start(self) -> None:
        """Wait for processes of an earlier owner to end, then start. Raises StackError."""
        self.data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.release()
        if not self._lock.wait(ORPHAN_SECONDS, self.pause):
            raise StackError(f"Another {self.name} is using {self.data}.")
        self.prepare()
        super().start()

    def stop(self, *, force: bool = False) -> None:
        super().stop(force=force)
        self._lock.release()
