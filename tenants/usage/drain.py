"""The drain: moves usage events from the Redis stream, and from spool files without a writer, into the database.

A batch is stored in one transaction and then deleted from its source. If a drain dies in between, the next one
stores nothing twice, since the event's id is the primary key. Concurrent drains are therefore safe; the lock only
saves them from doing the same work.
"""

import logging
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from time import monotonic
from typing import cast

from django.conf import settings
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg_pool import PoolTimeout
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tenants.usage import spool
from tenants.usage.partitions import LOCK
from tenants.usage.record import COLUMNS, UsageEvent, unpack
from tenants.usage.redis_stream import DEAD_LETTERS, FIELD, STREAM

logger = logging.getLogger(__name__)

#: Stream entries per batch; each holds up to 64 events.
ENTRIES_PER_BATCH = 100
#: Lines of a spool file per batch.
LINES_PER_BATCH = 5000
#: Seconds after which a drain stops and leaves the rest to the next one.
MAX_SECONDS = 20.0
#: Approximate maximum length of the dead-letter stream.
MAX_DEAD_LETTERS = 100_000
_NAMES = ", ".join(COLUMNS)

PREPARE = (
    # It lasts as long as the connection: creating a table every second would bloat the catalog.
    """
    CREATE TEMPORARY TABLE IF NOT EXISTS tenants_usage_incoming (LIKE tenants_usagerecord) ON COMMIT DELETE ROWS
    """,
    # It is empty unless an earlier batch belongs to the same transaction.
    "DELETE FROM tenants_usage_incoming",
)
STORE = (
    f"INSERT INTO tenants_usagerecord ({_NAMES})"  # noqa: S608 - the names are those of the model
    f" SELECT {_NAMES} FROM tenants_usage_incoming ON CONFLICT (id) DO NOTHING"
)
# Locking the keys first prevents their deletion before the rows that reference them are committed.
LAST_USED = """
    WITH used AS (
        SELECT key_id, max(created_at) AS at FROM tenants_usage_incoming GROUP BY key_id
    ), existing AS (
        SELECT k.id FROM tenants_inferencekey k JOIN used ON used.key_id = k.id
        ORDER BY k.id FOR KEY SHARE OF k
    )
    INSERT INTO tenants_keyactivity AS activity (key_id, last_used_at)
    SELECT existing.id, used.at FROM existing JOIN used ON used.key_id = existing.id
    ON CONFLICT (key_id) DO UPDATE
    SET last_used_at = greatest(activity.last_used_at, excluded.last_used_at)
"""

#: Errors that mean that Redis or PostgreSQL is unavailable; the next drain may succeed.
UNAVAILABLE = (OperationalError, PoolTimeout, RedisConnectionError, RedisTimeoutError)


class DrainLocked(Exception):
    """Another drain is running, or the partitions are being changed."""


def drain() -> int:
    """Store all waiting events and return how many were new.

    Raises:
        UNAVAILABLE: Redis or PostgreSQL is unavailable. Without Redis, the spool is still drained.
    """
    until = monotonic() + MAX_SECONDS
    new = 0
    with Redis.from_url(settings.REDIS_URL, socket_timeout=10, socket_connect_timeout=2) as redis:
        try:
            new += _drain_files(redis)
            while monotonic() < until and (stored := _drain_stream(redis)) is not None:
                new += stored
        except DrainLocked:
            pass
    return new


def _drain_stream(redis: Redis) -> int | None:
    """Store one batch of the stream; return how many events were new, or None if the stream is empty."""
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", redis.xrange(STREAM, count=ENTRIES_PER_BATCH))
    if not entries:
        return None
    # An entry without the field is not from the ledger and becomes a dead letter as a whole.
    lines = [
        line for _, entry in entries for line in entry.get(FIELD.encode(), repr(entry).encode()).split(b"\n")
    ]
    new, bad = store(lines)
    with redis.pipeline(transaction=True) as commands:
        _add_dead_letters(commands, bad)
        commands.xdel(STREAM, *[entry_id for entry_id, _ in entries])
        commands.execute()
    return new


def _drain_files(redis: Redis) -> int:
    """Store the events of spool files without a writer and return how many were new."""
    new = 0
    try:
        with closing(spool.files_without_writer(settings.USAGE_SPOOL_DIR)) as spool_files:
            for spool_file in spool_files:
                while lines := spool_file.read(LINES_PER_BATCH):
                    stored, bad = store(lines)
                    new += stored
                    _add_dead_letters(redis, bad)
                spool_file.delete()
    except OSError as error:
        # The stream can still be drained.
        _warn_once(f"The usage spool cannot be read: {error}")
    return new


def _add_dead_letters(redis: Redis, lines: Sequence[bytes]) -> None:
    for line in lines:
        redis.xadd(DEAD_LETTERS, {FIELD: line}, maxlen=MAX_DEAD_LETTERS, approximate=True)


@cache
def _warn_once(message: str) -> None:
    """Log a lasting problem once instead of every second."""
    logger.warning(message)


def store(lines: Sequence[bytes]) -> tuple[int, list[bytes]]:
    """Store encoded events and the last use of their keys in one transaction.

    Returns:
        How many events were new, and the lines that are not events or that the database rejects.

    Raises:
        DrainLocked: another transaction holds the lock.
    """
    good: list[tuple[bytes, UsageEvent]] = []
    bad: list[bytes] = []
    for line in lines:
        try:
            good.append((line, unpack(line)))
        except ValueError:
            bad.append(line)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if cursor.fetchone() != (True,):
            raise DrainLocked
        new = _insert(cursor, good, bad)
    if bad:
        logger.error("%d usage events cannot be stored and were moved to %s.", len(bad), DEAD_LETTERS)
    return new, bad


def _insert(cursor: CursorWrapper, batch: Sequence[tuple[bytes, UsageEvent]], bad: list[bytes]) -> int:
    """Insert a batch or, if the database rejects it, each half; append rejected lines to ``bad``."""
    if not batch:
        return 0
    try:
        with transaction.atomic():
            return _copy(cursor, [event for _, event in batch])
    except (DataError, IntegrityError) as error:
        if len(batch) == 1:
            logger.error("usage event %s was rejected: %s", batch[0][1].id, type(error).__name__)  # noqa: TRY400
            bad.append(batch[0][0])
            return 0
    half = len(batch) // 2
    return _insert(cursor, batch[:half], bad) + _insert(cursor, batch[half:], bad)


def _copy(cursor: CursorWrapper, events: Sequence[UsageEvent]) -> int:
    for statement in PREPARE:
        cursor.execute(statement)
    with cursor.copy(f"COPY tenants_usage_incoming ({_NAMES}) FROM STDIN") as copy:
        for event in events:
            values = {name: getattr(event, name) for name in COLUMNS}
            values["created_at"] = datetime.fromtimestamp(event.created_at, UTC)
            copy.write_row(list(values.values()))
    cursor.execute(STORE)
    new = int(cursor.rowcount)
    cursor.execute(LAST_USED)
    return new
