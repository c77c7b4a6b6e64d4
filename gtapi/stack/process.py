"""One long-running program: how it is started, asked whether it answers, and stopped."""

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
BYTES_OF_A_FULL_DISK = 1024 * 1024
LOG_BYTES_KEPT = 10 * 1024 * 1024
# Processes of a parent that was killed get this long to follow it.
SECONDS_FOR_THE_DEAD = 15.0

Pause = Callable[[float], object]

# Loaded before any fork: the dynamic loader takes locks.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent_death_signal: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send this process `parent_death_signal` when the thread that started it is gone.

    Linux only; elsewhere it does nothing. Call it in the child, after any change of user, which undoes it.
    """
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, int(parent_death_signal), 0, 0, 0)


def sleep(seconds: float) -> None:
    threading.Event().wait(seconds)


class ManagedProcess(ABC):
    """A child process with a log of its own, which cannot outlive the one that started it.

    Start it from the main thread: the kernel ties a child to the thread that forked it.
    """

    #: ShutdownSignals that ask for the end, ever more urgently, each with the seconds to wait for it; then SIGKILL.
    stop_signals: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 10.0),)
    #: Sent by the kernel when the launcher is killed.
    parent_death_signal = signal.SIGKILL
    #: Seconds to become ready in.
    start_timeout = 60.0

    def __init__(self, name: str, log: Path, pause: Pause = sleep) -> None:
        self.name = name
        self.log = log
        self.pause = pause
        self.process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @abstractmethod
    def command(self) -> list[str]:
        """ManagedProcess and arguments. Never a secret among them: every user can read them."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it serves by now."""

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def inherited_descriptors(self) -> tuple[int, ...]:
        """Open files that the child inherits."""
        return ()

    def start(self) -> None:
        """Start the process, without waiting for an answer. Raises StackError."""
        starter = os.getpid()

        def follow() -> None:
            die_with_parent(self.parent_death_signal)
            if os.getppid() != starter:  # it died before the line above
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
                    start_new_session=True,  # Ctrl-C is the launcher's, which stop_signals the parts in order
                    preexec_fn=follow,  # noqa: PLW1509 - it takes no locks that a thread could hold
                )
            except OSError as error:
                raise StackError(f"{self.name} cannot be started: {error.strerror}.") from None

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait_ready(self) -> None:
        """Return once it answers. Raises StackError if it ends first or takes longer than `start_timeout`."""
        deadline = monotonic() + self.start_timeout
        while not self.is_ready():
            if not self.is_running():
                raise StackError(f"{self.name} did not start: {self.exit_reason()}")
            if monotonic() > deadline:
                raise StackError(
                    f"{self.name} did not answer within {self.start_timeout:.0f} s; see {self.log}."
                )
            self.pause(0.03)

    def exit_reason(self) -> str:
        """One sentence on why the process has ended, from its own log where that is telling."""
        # On a full disk the log may have had no room for the reason.
        full = shutil.disk_usage(self.log.parent).free < BYTES_OF_A_FULL_DISK
        if full or "No space left on device" in self.log_tail():
            return f"the disk that holds {self.log.parent} is full."
        code = self.process.returncode if self.process else None
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        return f"{how}; see {self.log}."

    def log_tail(self, size: int = 4000) -> str:
        """The end of what it has logged since its last start, at most `size` bytes."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - size))
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def stop(self, *, force: bool = False) -> None:
        """Ask for the end, insist, and return when the process is gone; `force` leaves out the asking."""
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
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_KEPT:
            shutil.move(self.log, self.log.with_suffix(".log.1"))
        return os.fdopen(os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


class Server(ManagedProcess):
    """A program that keeps data in a folder, of which at most one process may be at work there."""

    def __init__(self, name: str, data: Path, log: Path, pause: Pause = sleep) -> None:
        super().__init__(name, log, pause)
        self.data = data
        self._lock = FileLock(data.with_name(f".{data.name}.lock"))

    @abstractmethod
    def prepare(self) -> None:
        """Make what has to be in the folder before each start. Raises StackError when it cannot be."""

    def inherited_descriptors(self) -> tuple[int, ...]:
        return (self._lock.descriptor,)

    def start(self) -> None:
        """Wait for the processes of an earlier owner to be gone, then start. Raises StackError."""
        self.data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.release()
        if not self._lock.wait(SECONDS_FOR_THE_DEAD, self.pause):
            raise StackError(f"Another {self.name} is at work in {self.data}.")
        self.prepare()
        super().start()

    def stop(self, *, force: bool = False) -> None:
        super().stop(force=force)
        self._lock.release()
