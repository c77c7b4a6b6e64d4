"""What the launcher tells the person at the keyboard."""

from contextlib import suppress
from time import monotonic


class Console:
    """Lines on standard output, each with the seconds since the start."""

    def __init__(self) -> None:
        self._start = monotonic()

    def log(self, text: str) -> None:
        self.write(f"[{monotonic() - self._start:6.1f} s] {text}")

    def write(self, text: str) -> None:
        # A terminal that has been closed is no reason not to stop the parts in order.
        with suppress(OSError):
            print(text, flush=True)  # noqa: T201 - this is the program's output
