"""Startup steps of the launcher: load Django, check Redis, migrate the database."""

import logging

from gtapi.stack.errors import StackError


def load_django() -> None:
    """Set Django up. Raises StackError if the settings are invalid."""
    import django
    from django.core.exceptions import ImproperlyConfigured

    try:
        django.setup()
    except ImproperlyConfigured as error:
        raise StackError(str(error)) from None
    # Only warnings on the console; the services write their own log files.
    logging.getLogger().setLevel(logging.WARNING)


def check_redis() -> None:
    """Raises StackError if Redis does not respond."""
    import redis
    from django.conf import settings

    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=5, socket_timeout=5
        ) as connection:
            connection.ping()
    except redis.RedisError as error:
        raise StackError(f"Redis at REDIS_URL does not respond: {str(error).rstrip('.')}.") from None


def migrate() -> int:
    """Apply pending migrations and return their number. Raises StackError if the database is unavailable."""
    from django.core.management import call_command
    from django.db import OperationalError, connection
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if plan:  # the command is slow even if there is nothing to do
            call_command("migrate", interactive=False, verbosity=0)
    except OperationalError as error:
        raise StackError(f"The database cannot be used: {str(error).strip()}") from None
    return len(plan)


def disconnect() -> None:
    """Close all connections and the pool's threads, since the next step forks."""
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        connection.close()
        if close_pool := getattr(connection, "close_pool", None):
            close_pool()
