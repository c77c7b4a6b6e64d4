"""What the launcher tells the person at the keyboard."""

import sys
from time import monotonic


class Console:
    """Lines on standard output, each with the seconds since the start."""

    def __init__(self) -> None:
        self._start = monotonic()

    def say(self, text: str) -> None:
        self.write(f"[{monotonic() - self._start:6.1f} s] {text}")

    def write(self, text: str) -> None:
        try:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
        except OSError:  # the terminal has been closed, and the parts still have to be stopped in order
            sys.stdout = None
