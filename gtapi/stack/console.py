"""The launcher's console output."""

from contextlib import suppress
from time import monotonic


class Console:
    """Writes lines to standard output, with the seconds since the start."""

    def __init__(self) -> None:
        self._start = monotonic()

    def log(self, text: str) -> None:
        self.write(f"[{monotonic() - self._start:6.1f} s] {text}")

    def write(self, text: str) -> None:
        # If the terminal has been closed, the services must still be stopped in order.
        with suppress(OSError):
            print(text, flush=True)  # noqa: T201 - this is the program's output
