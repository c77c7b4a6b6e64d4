"""System checks: whether Redis keeps what it was given."""

from typing import Any

from django.conf import settings
from django.core import checks
from redis import Redis
from redis.exceptions import RedisError


@checks.register("redis", deploy=True)
def redis_is_durable(**_: Any) -> list[checks.CheckMessage]:
    """Warn where a record that Redis has acknowledged could be lost; says nothing where Redis cannot be asked."""
    found: dict[str, str] = {}
    try:
        with Redis.from_url(
            settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2, decode_responses=True
        ) as redis:
            for name in ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy"):
                found.update(redis.config_get(name))
    except RedisError:
        # It is away, or a service that does not show its configuration.
        return []
    warnings: list[checks.CheckMessage] = []
    if found.get("appendonly") != "yes" or found.get("appendfsync") != "always":
        warnings.append(
            checks.Warning(
                "Redis can lose usage records that it has acknowledged.",
                hint="Set `appendonly yes` and `appendfsync always`.",
                id="tenants.W001",
            )
        )
    if found.get("maxmemory", "0") != "0" and found.get("maxmemory-policy") != "noeviction":
        warnings.append(
            checks.Warning(
                "Redis can evict usage records that are not in the database yet.",
                hint="Set `maxmemory-policy noeviction`.",
                id="tenants.W002",
            )
        )
    return warnings
