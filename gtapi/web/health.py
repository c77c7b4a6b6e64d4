"""Liveness and readiness probes.

``/healthz`` tells a process manager that the process is alive, ``/readyz`` tells a load balancer that it can serve
requests. The API's handler serves both: Django's would check ``ALLOWED_HOSTS``, and probes use IP addresses.
"""

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from psycopg_pool import PoolTimeout
from redis import Redis
from redis.exceptions import RedisError

from gtapi.database import in_thread


@never_cache
async def healthz(request: HttpRequest) -> JsonResponse:
    """Respond with 200: the event loop is running."""
    return JsonResponse({"status": "ok"})


@never_cache
async def readyz(request: HttpRequest) -> JsonResponse:
    """Respond with 200, or 503 if the database is unavailable or has pending migrations.

    Requests are served without Redis, so its absence is 200 with the status ``degraded``.
    """
    return await in_thread(_readiness)


def _readiness() -> JsonResponse:
    checks = {"database": _database(), "migrations": "unknown", "redis": _redis()}
    if checks["database"] == "ok":
        checks["migrations"] = _migrations()
    ready = checks["database"] == checks["migrations"] == "ok"
    status = "unavailable" if not ready else "ok" if checks["redis"] == "ok" else "degraded"
    return JsonResponse({"status": status, "checks": checks}, status=200 if ready else 503)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, PoolTimeout):
        return "unavailable"
    return "ok"


def _migrations() -> str:
    try:
        executor = MigrationExecutor(connection)
    except DatabaseError:
        return "unavailable"
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return f"pending: {', '.join(str(migration) for migration, _ in pending)}" if pending else "ok"


def _redis() -> str:
    client = Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)
    try:
        client.ping()
    except (RedisError, OSError):
        return "unavailable"
    finally:
        client.close()
    return "ok"
