"""The months of the usage table: made ahead, filled from the default partition, dropped when they are old.

The table is partitioned by range of its id, and a UUID of version 7 begins with its moment: a month's partition
reaches from the smallest id of its first millisecond to that of the next month. What no month holds lies in the
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
#: Months that are made ahead of the present one.
AHEAD = 2
#: The advisory lock under which records are stored and partitions are changed: one at a time.
LOCK = 0x67746170695F7573
#: Seconds that a change waits for those who use the table, who wait behind it meanwhile.
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
    """Make the partitions of this month and the next ones, and drop those past ``USAGE_RETENTION_DAYS``.

    Running it again, or twice at once, changes nothing. Raises OperationalError when the table is in use for long.
    """
    now = now or datetime.now(UTC)
    month = _first(now)
    for _ in range(AHEAD + 1):
        _make(month)
        month = _next(month)
    if settings.USAGE_RETENTION_DAYS:
        _drop_older(now - timedelta(days=settings.USAGE_RETENTION_DAYS))


def after_migrate(**_: Any) -> None:
    """Have this month's partition from the first record on; a receiver of ``post_migrate``."""
    if TABLE not in connection.introspection.table_names():
        return
    try:
        maintain()
    except OperationalError as error:
        # A busy table must not stop a release: the default partition serves until the next try.
        logger.warning("the partitions of usage are not made yet: %s", type(error).__name__)


@contextmanager
def _changing() -> Iterator[CursorWrapper]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        yield cursor


def _make(month: datetime) -> None:
    name = f"{TABLE}_{month:%Y_%m}"
    with _changing() as cursor:
        if name in _months(cursor):
            return
        low, high = uuid7_floor(month.timestamp()), uuid7_floor(_next(month).timestamp())
        # Made apart and then attached, which locks the default partition alone and not the table.
        cursor.execute(f"CREATE TABLE {name} (LIKE {TABLE} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        cursor.execute(f"LOCK TABLE {DEFAULT} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(
            f"WITH moved AS (DELETE FROM {DEFAULT} WHERE id >= %s AND id < %s RETURNING *)"  # noqa: S608
            f" INSERT INTO {name} SELECT * FROM moved",
            [low, high],
        )
        cursor.execute(f"ALTER TABLE {TABLE} ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')")
    logger.info("made partition %s", name)


def _drop_older(oldest: datetime) -> None:
    with _changing() as cursor:
        old = [name for name, month in _months(cursor).items() if _next(month) <= oldest]
        for name in old:
            cursor.execute(f"DROP TABLE {name}")
        cursor.execute(f"DELETE FROM {DEFAULT} WHERE created_at < %s", [oldest])  # noqa: S608
    for name in old:
        logger.info("dropped partition %s", name)


def _months(cursor: CursorWrapper) -> dict[str, datetime]:
    """Return the partitions that stand for a month, each with its first moment."""
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
