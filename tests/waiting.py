"""Waiting for what other processes do."""

import time
from collections.abc import Callable

from django.db import connection, connections


def eventually(true: Callable[[], object], seconds: float = 40) -> None:
    """Return once it is true; a test fails in which it does not become so in time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def somebody_waits() -> bool:
    """Whether another connection waits for a lock that this one's transaction has."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        return cursor.fetchone()[0] > 0


def with_own_connection(function: Callable[[], object]) -> None:
    """Call a function in a thread that is the test's own, and close the connections that it opened there."""
    try:
        function()
    finally:
        connections.close_all()
