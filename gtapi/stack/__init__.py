"""The embedded PostgreSQL and Redis, and the launcher that runs a complete gateway on one machine.

Tests start private servers:

    with Postgres(tmp / "pg", sockets, durable=False) as postgres, Redis(tmp / "redis", sockets) as redis:
        postgres.database_url, redis.url

`sockets` must be a short path, since the path of a socket has at most 107 bytes.
"""
