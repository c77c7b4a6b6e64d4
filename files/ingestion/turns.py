"""Turns of tenants: when each was last served, so that the tenant that has waited longest is next."""

from typing import Literal

from django.db import connection


def record_turn(tenant_id: int, column: Literal["served_at", "indexed_at"]) -> None:
    """Note that a tenant has its turn now, with a file or with a dataset to index."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO files_ingestturn (tenant_id, {column}) VALUES (%s, clock_timestamp())"  # noqa: S608
            f" ON CONFLICT (tenant_id) DO UPDATE SET {column} = excluded.{column}",
            [tenant_id],
        )
