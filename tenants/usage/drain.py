"""The drain: usage records from the stream, and from files whose writers are gone, into the table.

A batch is stored in one transaction, and only then deleted where it came from. A drain that dies in between leaves
it there, and the next one stores nothing new of it, since a record's id can be in the table but once. So no drain
has to know of another: the lock that each takes only spares them the same work.
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

#: Entries of the stream in a batch; each holds up to 64 records.
ENTRIES = 100
#: Records of a file in a batch.
LINES = 5000
#: Seconds after which a drain leaves the rest to the next one.
LONG_SECONDS = 20.0
#: Records kept of those that cannot be stored, about.
DEAD_LETTERS_KEPT = 100_000
_NAMES = ", ".join(COLUMNS)

INCOMING = (
    # Kept for the life of the connection: a table made anew each second would bloat the catalogue.
    """
    CREATE TEMPORARY TABLE IF NOT EXISTS tenants_usage_incoming (LIKE tenants_usagerecord) ON COMMIT DELETE ROWS
    """,
    # Empty already, unless a batch before this one belongs to the same transaction.
    "DELETE FROM tenants_usage_incoming",
)
STORE = (
    f"INSERT INTO tenants_usagerecord ({_NAMES})"  # noqa: S608 - the names are the record's own
    f" SELECT {_NAMES} FROM tenants_usage_incoming ON CONFLICT (id) DO NOTHING"
)
# The keys are locked first, so that none is deleted before the row that refers to it is committed.
LAST_USED = """
    WITH used AS (
        SELECT key_id, max(created_at) AS at FROM tenants_usage_incoming GROUP BY key_id
    ), living AS (
        SELECT k.id FROM tenants_inferencekey k JOIN used ON used.key_id = k.id
        ORDER BY k.id FOR KEY SHARE OF k
    )
    INSERT INTO tenants_keyactivity AS activity (key_id, last_used_at)
    SELECT living.id, used.at FROM living JOIN used ON used.key_id = living.id
    ON CONFLICT (key_id) DO UPDATE
    SET last_used_at = greatest(activity.last_used_at, excluded.last_used_at)
"""


#: What Redis or PostgreSQL being away looks like; the next drain may fare better.
AWAY = (OperationalError, PoolTimeout, RedisConnectionError, RedisTimeoutError)


class Busy(Exception):
    """Another drain is at work, or the partitions are being changed."""


def drain() -> int:
    """Store what waits; returns how many records were new.

    Raises:
        AWAY: Redis or PostgreSQL is. Without Redis, what lies in files is stored all the same.
    """
    until = monotonic() + LONG_SECONDS
    new = 0
    with Redis.from_url(settings.REDIS_URL, socket_timeout=10, socket_connect_timeout=2) as redis:
        try:
            new += _drain_files(redis)
            while monotonic() < until and (stored := _drain_stream(redis)) is not None:
                new += stored
        except Busy:
            pass
    return new


def _drain_stream(redis: Redis) -> int | None:
    """Store one batch of the stream; returns how many records were new, None when nothing waits."""
    found = cast("list[tuple[bytes, dict[bytes, bytes]]]", redis.xrange(STREAM, count=ENTRIES))
    if not found:
        return None
    # An entry of some other shape is no record, and is put aside as it is.
    lines = [
        line for _, entry in found for line in entry.get(FIELD.encode(), repr(entry).encode()).split(b"\n")
    ]
    new, bad = store(lines)
    with redis.pipeline(transaction=True) as commands:
        _put_aside(commands, bad)
        commands.xdel(STREAM, *[name for name, _ in found])
        commands.execute()
    return new


def _drain_files(redis: Redis) -> int:
    """Store what is in files that nobody writes to; returns how many records were new."""
    new = 0
    try:
        with closing(spool.leftovers(settings.USAGE_SPOOL_DIR)) as leftovers:
            for leftover in leftovers:
                while lines := leftover.read(LINES):
                    stored, bad = store(lines)
                    new += stored
                    _put_aside(redis, bad)
                leftover.delete()
    except OSError as error:
        # The stream is drained all the same.
        _complain(f"the usage spool cannot be read: {error}")
    return new


def _put_aside(redis: Redis, lines: Sequence[bytes]) -> None:
    for line in lines:
        redis.xadd(DEAD_LETTERS, {FIELD: line}, maxlen=DEAD_LETTERS_KEPT, approximate=True)


@cache
def _complain(sentence: str) -> None:
    """Log a fault that lasts once and not every second."""
    logger.warning(sentence)


def store(lines: Sequence[bytes]) -> tuple[int, list[bytes]]:
    """Store packed records and when their keys were last used, in one transaction.

    Returns:
        How many records were new, and the lines that are no records or that the database refuses.

    Raises:
        Busy: the lock is taken.
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
            raise Busy
        new = _insert(cursor, good, bad)
    if bad:
        logger.error("%d usage records cannot be stored and are put aside in %s", len(bad), DEAD_LETTERS)
    return new, bad


def _insert(cursor: CursorWrapper, batch: Sequence[tuple[bytes, UsageEvent]], bad: list[bytes]) -> int:
    """Insert a batch, or, where the database refuses it, each of its halves; adds what is refused to ``bad``."""
    if not batch:
        return 0
    try:
        with transaction.atomic():
            return _copy(cursor, [event for _, event in batch])
    except (DataError, IntegrityError) as error:
        if len(batch) == 1:
            logger.error("usage record %s is refused: %s", batch[0][1].id, type(error).__name__)  # noqa: TRY400
            bad.append(batch[0][0])
            return 0
    half = len(batch) // 2
    return _insert(cursor, batch[:half], bad) + _insert(cursor, batch[half:], bad)


def _copy(cursor: CursorWrapper, events: Sequence[UsageEvent]) -> int:
    for statement in INCOMING:
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
