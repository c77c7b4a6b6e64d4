"""Waiting for what other processes do."""

import time
from collections.abc import Callable


def eventually(true: Callable[[], object], seconds: float = 40) -> None:
    """Return once it is true; a test fails in which it does not become so in time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
