"""Django system checks of the durability of Redis."""

from typing import Any

from django.conf import settings
from django.core import checks
from redis import Redis
from redis.exceptions import RedisError


@checks.register("redis", deploy=True)
def redis_is_durable(**_: Any) -> list[checks.CheckMessage]:
    """Warn if Redis could lose acknowledged usage events; no warning if its configuration is unavailable."""
    configuration: dict[str, str] = {}
    try:
        with Redis.from_url(
            settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2, decode_responses=True
        ) as redis:
            for name in ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy"):
                configuration.update(redis.config_get(name))
    except RedisError:
        # Redis is unavailable, or a managed service without CONFIG GET.
        return []
    warnings: list[checks.CheckMessage] = []
    if configuration.get("appendonly") != "yes" or configuration.get("appendfsync") != "always":
        warnings.append(
            checks.Warning(
                "Redis can lose usage events that it has acknowledged.",
                hint="Set `appendonly yes` and `appendfsync always`.",
                id="tenants.W001",
            )
        )
    if configuration.get("maxmemory", "0") != "0" and configuration.get("maxmemory-policy") != "noeviction":
        warnings.append(
            checks.Warning(
                "Redis can evict usage events that are not in the database yet.",
                hint="Set `maxmemory-policy noeviction`.",
                id="tenants.W002",
            )
        )
    return warnings
