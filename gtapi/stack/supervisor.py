"""Restart services that have ended, with exponential backoff."""

from time import monotonic

from gtapi.stack.console import Console
from gtapi.stack.errors import StackError
from gtapi.stack.process import ManagedProcess

MIN_WAIT = 0.2
MAX_WAIT = 30.0
# Seconds of uptime after which the backoff is reset.
HEALTHY_SECONDS = 60.0


class Supervisor:
    """Supervises one service. Call `check` often; it never blocks."""

    def __init__(self, process: ManagedProcess, console: Console) -> None:
        self.process = process
        self.console = console
        self._failures = 0
        self._due: float | None = None  # when to restart it
        self._started: float | None = None  # when it was restarted, until it is ready
        self._up_since = monotonic()

    def check(self) -> None:
        """Restart the service if it has ended and the backoff is over."""
        if self._due is not None:
            if monotonic() >= self._due:
                self._start()
        elif not self.process.is_running():
            self._retry(f"{self.process.name} ended: {self.process.exit_reason()}")
        elif self._started is not None:
            self._check_ready(self._started)

    def _start(self) -> None:
        self._due = None
        try:
            self.process.start()
            self._started = monotonic()
        except StackError as error:
            self._retry(str(error))

    def _check_ready(self, started: float) -> None:
        try:
            ready = self.process.is_ready()
        except StackError as error:
            self._retry(str(error))
            return
        if ready:
            self._started = None
            self._up_since = monotonic()
            self.console.log(f"{self.process.name} is ready again")
        elif monotonic() - started > self.process.start_timeout:
            self._retry(f"{self.process.name} is not responding; see {self.process.log}.")

    def _retry(self, reason: str) -> None:
        if self._started is None and monotonic() - self._up_since > HEALTHY_SECONDS:
            self._failures = 0
        self._started = None
        wait = min(MIN_WAIT * 2**self._failures, MAX_WAIT)
        self._failures += 1
        self._due = monotonic() + wait
        self.process.stop(force=True)
        self.console.log(f"{reason} Restarting it in {wait:.1f} s.")
