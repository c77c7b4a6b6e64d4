"""Helpers for the database: async access through threads, its unavailability, and text that it cannot store."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connections
from django.db.models import Model, QuerySet
from psycopg_pool import PoolTimeout

P = ParamSpec("P")
T = TypeVar("T")
Row = TypeVar("Row", bound=Model)

#: Exceptions that mean that the database is unavailable; a later attempt may succeed.
DATABASE_UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeout)

_threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="orm")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run ``function`` in a thread, and return its database connection to the pool afterwards."""

    def call() -> T:
        try:
            return function(*args, **kwargs)
        finally:
            connections.close_all()

    return await asyncio.get_running_loop().run_in_executor(_threads, call)


def find(rows: QuerySet[Row], **lookup: Any) -> Row | None:
    """Return the first row that matches, or None.

    A NUL character in a value finds nothing: PostgreSQL would refuse the query.
    """
    if any(isinstance(value, str) and "\0" in value for value in lookup.values()):
        return None
    return rows.filter(**lookup).first()


def storable(text: str) -> str:
    """Return text that PostgreSQL can store: without NUL characters and unpaired surrogates."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()
