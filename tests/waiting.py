"""Helpers that wait for other threads and processes."""

import time
from collections.abc import Callable

from django.db import connection, connections


def eventually(condition: Callable[[], object], seconds: float = 40) -> None:
    """Wait until the condition is true; fail the test if that takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.02)


def another_connection_waits() -> bool:
    """Whether another connection waits for a lock that this connection's transaction holds."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        return cursor.fetchone()[0] > 0


def with_own_connection(function: Callable[[], object]) -> None:
    """Call a function in a thread, and close the database connections that it opened there."""
    try:
        function()
    finally:
        connections.close_all()
