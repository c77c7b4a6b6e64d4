"""Bringing parts back that die, without wearing the machine out on one that cannot live."""

from time import monotonic

from gtapi.stack.console import Console
from gtapi.stack.errors import StackError
from gtapi.stack.process import ManagedProcess

SHORTEST_WAIT = 0.2
LONGEST_WAIT = 30.0
# A part that has been up for this long starts with a clean record.
SECONDS_OF_HEALTH = 60.0


class Supervisor:
    """One part, and what has become of it. Call `look` often; it never waits for an answer."""

    def __init__(self, part: ManagedProcess, console: Console) -> None:
        self.part = part
        self.console = console
        self._failures = 0
        self._due: float | None = None  # when to start it again
        self._started: float | None = None  # when it was started again, until it answers
        self._up_since = monotonic()

    def check(self) -> None:
        """Start the part again when it has ended and its time has come, and say when it answers."""
        if self._due is not None:
            if monotonic() >= self._due:
                self._start()
        elif not self.part.is_running():
            self._retry(f"{self.part.name} ended: {self.part.exit_reason()}")
        elif self._started is not None:
            self._listen(self._started)

    def _start(self) -> None:
        self._due = None
        try:
            self.part.start()
            self._started = monotonic()
        except StackError as error:
            self._retry(str(error))

    def _listen(self, started: float) -> None:
        try:
            answering = self.part.is_ready()
        except StackError as error:
            self._retry(str(error))
            return
        if answering:
            self._started = None
            self._up_since = monotonic()
            self.console.log(f"{self.part.name} answers again")
        elif monotonic() - started > self.part.start_timeout:
            self._retry(f"{self.part.name} does not answer; see {self.part.log}.")

    def _retry(self, why: str) -> None:
        if self._started is None and monotonic() - self._up_since > SECONDS_OF_HEALTH:
            self._failures = 0
        self._started = None
        wait = min(SHORTEST_WAIT * 2**self._failures, LONGEST_WAIT)
        self._failures += 1
        self._due = monotonic() + wait
        self.part.stop(force=True)
        self.console.log(f"{why} Starting it again in {wait:.1f} s.")
