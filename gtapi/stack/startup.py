"""What has to be true of the servers before anything is served from them."""

import logging

from gtapi.stack.errors import StackError


def load_django() -> None:
    """Raises StackError when the settings cannot be read."""
    import django
    from django.core.exceptions import ImproperlyConfigured

    try:
        django.setup()
    except ImproperlyConfigured as error:
        raise StackError(str(error)) from None
    # The console is for what the parts do; what they log has files of its own.
    logging.getLogger().setLevel(logging.WARNING)


def check_redis() -> None:
    """Raises StackError when the Redis of the settings does not answer."""
    import redis
    from django.conf import settings

    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=5, socket_timeout=5
        ) as connection:
            connection.ping()
    except redis.RedisError as error:
        raise StackError(f"Redis does not answer at REDIS_URL: {str(error).rstrip('.')}.") from None


def migrate() -> int:
    """Bring the database to the newest schema; returns the number of steps. Raises StackError without one."""
    from django.core.management import call_command
    from django.db import OperationalError, connection
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if plan:  # with nothing to do the command would still go through every permission
            call_command("migrate", interactive=False, verbosity=0)
    except OperationalError as error:
        raise StackError(f"The database cannot be used: {str(error).strip()}") from None
    return len(plan)


def disconnect() -> None:
    """Let go of every connection and of the pool's threads: what comes next forks."""
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        connection.close()
        if close_pool := getattr(connection, "close_pool", None):
            close_pool()
