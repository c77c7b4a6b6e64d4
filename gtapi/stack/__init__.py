"""The gateway's own PostgreSQL and Redis, and the launcher that runs a whole gateway on one machine.

Tests use one server each, private to the run:

    with Postgres(tmp / "pg", sockets, durable=False) as postgres, Redis(tmp / "redis", sockets) as redis:
        postgres.database_url, redis.url

`sockets` has to be a short path, since a socket's address has at most 107 bytes.
"""
