"""Monthly partitions of the usage table: created ahead, filled from the default partition, dropped after retention.

The table is partitioned by range of its id, a UUIDv7, which begins with its creation time. A month's partition
covers the ids from the first millisecond of that month to that of the next. Rows of other months are in the
default partition.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection, migrations, transaction
from django.db.backends.utils import CursorWrapper

from gtapi.ids import uuid7_floor

logger = logging.getLogger(__name__)

TABLE = "tenants_usagerecord"
DEFAULT = f"{TABLE}_default"
#: Months that are created ahead of the current one.
MONTHS_AHEAD = 2
#: The advisory lock that serializes storing events and changing partitions.
LOCK = 0x67746170695F7573
#: Timeout in seconds for a table lock, since other queries queue behind a waiting change.
LOCK_SECONDS = 5


class CreatePartitionedModel(migrations.CreateModel):
    """Create a model whose table is partitioned by range of its primary key, with a default partition."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = to_state.apps.get_model(app_label, self.name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        options = model._meta  # noqa: SLF001 (Django's documented model API)
        table, key = options.db_table, options.pk.column
        sql, parameters = schema_editor.table_sql(model)
        schema_editor.execute(f"{sql} PARTITION BY RANGE ({key})", parameters or None)
        for index in options.indexes:
            schema_editor.add_index(model, index)
        schema_editor.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")


def maintain(now: datetime | None = None) -> None:
    """Create the partitions of this and the next months, and drop those older than ``USAGE_RETENTION_DAYS``.

    Idempotent and safe to run concurrently. Raises OperationalError if a table lock cannot be obtained in time.
    """
    now = now or datetime.now(UTC)
    month = _first(now)
    for _ in range(MONTHS_AHEAD + 1):
        _create(month)
        month = _next(month)
    if settings.USAGE_RETENTION_DAYS:
        _drop_older(now - timedelta(days=settings.USAGE_RETENTION_DAYS))


def after_migrate(**_: Any) -> None:
    """Create this month's partition before the first event; a receiver of ``post_migrate``."""
    if TABLE not in connection.introspection.table_names():
        return
    try:
        maintain()
    except OperationalError as error:
        # A busy table must not stop a release: the default partition takes the rows until the next attempt.
        logger.warning("The partitions of the usage table were not created: %s", type(error).__name__)


@contextmanager
def _locked() -> Iterator[CursorWrapper]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        yield cursor


def _create(month: datetime) -> None:
    name = f"{TABLE}_{month:%Y_%m}"
    with _locked() as cursor:
        if name in _months(cursor):
            return
        low, high = uuid7_floor(month.timestamp()), uuid7_floor(_next(month).timestamp())
        # Creating it separately and attaching it locks only the default partition, not the table.
        cursor.execute(f"CREATE TABLE {name} (LIKE {TABLE} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        cursor.execute(f"LOCK TABLE {DEFAULT} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(
            f"WITH moved AS (DELETE FROM {DEFAULT} WHERE id >= %s AND id < %s RETURNING *)"  # noqa: S608
            f" INSERT INTO {name} SELECT * FROM moved",
            [low, high],
        )
        cursor.execute(f"ALTER TABLE {TABLE} ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')")
    logger.info("Created partition %s.", name)


def _drop_older(oldest: datetime) -> None:
    with _locked() as cursor:
        old = [name for name, month in _months(cursor).items() if _next(month) <= oldest]
        for name in old:
            cursor.execute(f"DROP TABLE {name}")
        cursor.execute(f"DELETE FROM {DEFAULT} WHERE created_at < %s", [oldest])  # noqa: S608
    for name in old:
        logger.info("Dropped partition %s.", name)


def _months(cursor: CursorWrapper) -> dict[str, datetime]:
    """Return the monthly partitions with the start of their month."""
    cursor.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = %s::regclass",
        [TABLE],
    )
    names = [name for (name,) in cursor.fetchall() if name != DEFAULT]
    return {
        name: datetime.strptime(name.removeprefix(f"{TABLE}_"), "%Y_%m").replace(tzinfo=UTC) for name in names
    }


def _first(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _next(month: datetime) -> datetime:
    return (month + timedelta(days=31)).replace(day=1)
