"""A temporary, migrated PostgreSQL server for benchmarks."""

import os
import secrets
import shutil
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def database(**variables: str) -> Iterator[None]:
    """Start the server, set up Django and migrate. ``variables`` are added to the environment."""
    from gtapi.stack.postgres import Postgres

    folder = Path(tempfile.mkdtemp(prefix="gtapi-bench-", dir="/tmp"))
    sockets = folder / "s"
    sockets.mkdir(mode=0o700)
    postgres = Postgres(folder / "postgres", sockets, durable=False)
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "gtapi.settings",
        "GTAPI_HOME": str(folder / "home"),
        "DATABASE_URL": postgres.database_url,
        "REDIS_URL": "redis://127.0.0.1:1",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "KEY_PEPPERS": secrets.token_urlsafe(32),
        "ENCRYPTION_KEYS": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "LOG_LEVEL": "WARNING",
        **variables,
    }
    try:
        with postgres:
            _migrate()
            yield
            from django.db import connections

            connections["default"].close()
            connections["default"].close_pool()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _migrate() -> None:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
