"""The drain stores each record once, next to garbage, next to another drain, and when it is killed."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from django.db import connection, transaction

from tenants import tasks
from tenants.models import KeyActivity, PolicyChange, UsageRecord
from tenants.usage import drain
from tenants.usage.redis_stream import DEAD_LETTERS, FIELD, STREAM
from tests import factories
from tests.tenants.usage.conftest import stored
from tests.tenants.usage.processes import fields
from tests.waiting import eventually


def send(ledger, *lines: bytes) -> None:
    ledger.client.xadd(STREAM, {FIELD: b"\n".join(lines)})


def packed(**values) -> tuple[str, bytes]:
    made = fields(**values)
    return made["id"], orjson.dumps(made)


def put_aside(ledger) -> list[bytes]:
    return [entry[FIELD.encode()] for _, entry in ledger.client.xrange(DEAD_LETTERS)]


def test_what_is_delivered_again_is_stored_once(ledger):
    name, line = packed(model="once")
    for _ in range(2):
        send(ledger, line, line)
        send(ledger, line)
        drain.drain()
    assert UsageRecord.objects.filter(model="once").count() == 1
    assert stored([name]) == 1


def test_a_killed_drain_loses_and_doubles_nothing(ledger):
    ids = []
    for _ in range(300):
        batch = [packed() for _ in range(10)]
        ids += [name for name, _ in batch]
        send(ledger, *(line for _, line in batch))
    for _ in range(3):
        with ledger.drainer() as drainer:
            eventually(lambda: not ledger.client.xlen(STREAM) or stored(ids[-3000:]))
            drainer.kill()
    drain.drain()
    eventually(lambda: drain.drain() == 0 and ledger.client.xlen(STREAM) == 0)
    assert stored(ids) == 3000


@contextmanager
def table_locked() -> Iterator[Callable[[], bool]]:
    """Nobody else writes to the table meanwhile; what is yielded tells whether somebody waits to."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE tenants_usagerecord IN SHARE MODE")

        def somebody_waits() -> bool:
            cursor.execute(
                "SELECT count(*) FROM pg_locks"
                " WHERE NOT granted AND relation = 'tenants_usagerecord'::regclass"
            )
            return cursor.fetchone() != (0,)

        yield somebody_waits


def test_a_drain_killed_before_it_commits_leaves_everything_where_it_was(ledger):
    name, line = packed()
    with ledger.drainer() as drainer:
        with table_locked() as somebody_waits:
            send(ledger, line)
            eventually(somebody_waits)
            drainer.kill()
        assert ledger.client.xlen(STREAM) == 1
        eventually(lambda: drain.drain() or stored([name]))
    assert stored([name]) == 1
    assert ledger.client.xlen(STREAM) == 0


def test_a_drain_that_cannot_acknowledge_what_it_has_stored_doubles_nothing(ledger):
    name, line = packed()
    with ledger.drainer() as drainer:
        with table_locked() as somebody_waits:
            send(ledger, line)
            eventually(somebody_waits)
            ledger.server.stop(force=True)
        assert drainer.child.wait(30) != 0
    assert stored([name]) == 1
    ledger.server.start()
    ledger.server.wait_ready()
    assert ledger.client.xlen(STREAM) == 1
    assert drain.drain() == 0
    assert ledger.client.xlen(STREAM) == 0
    assert stored([name]) == 1


def test_two_drains_at_once_store_everything_once(ledger):
    with ledger.drainer(), ledger.drainer(), ledger.recorder() as recorder:
        ids = []
        for _ in range(30):
            ids += recorder.record(*(fields() for _ in range(random.randint(1, 100))))
        eventually(lambda: stored(ids) == len(ids) and ledger.client.xlen(STREAM) == 0)
    assert put_aside(ledger) == []


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\0\0\0",
        b"\xff\xfe",
        b"not json",
        b"[1, 2]",
        b'"text"',
        b"{}",
        packed(tenant_id="one")[1],
        packed(key_id=None)[1],
        packed(created_at="today")[1],
        packed(created_at=1e300)[1],
        packed(id="no uuid")[1],
    ],
)
def test_garbage_is_put_aside_and_blocks_nobody(ledger, garbage):
    before, after = packed(), packed()
    send(ledger, before[1], garbage, after[1])
    assert drain.drain() == 2
    assert stored([before[0], after[0]]) == 2
    assert put_aside(ledger) == [garbage]
    assert ledger.client.xlen(STREAM) == 0


def test_an_entry_of_another_shape_is_put_aside(ledger):
    name, line = packed()
    ledger.client.xadd(STREAM, {"something": "else"})
    send(ledger, line)
    assert drain.drain() == 1
    assert stored([name]) == 1
    assert put_aside(ledger) == [b"{b'something': b'else'}"]


def test_fields_of_the_wrong_type_are_made_to_fit(ledger):
    name, line = packed(
        model=5, route=None, status="200", input_tokens=1.0, streamed="yes", unknown=1, latency_ms=None
    )
    send(ledger, line)
    drain.drain()
    row = UsageRecord.objects.get(pk=name)
    assert (row.model, row.route, row.status, row.input_tokens) == ("5", "", 0, 1)
    assert (row.streamed, row.latency_ms) == (True, 0)


def test_a_record_that_the_database_refuses_is_put_aside_alone(ledger):
    lines = [packed() for _ in range(20)]
    refused = packed(route="refused here")[1]
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE tenants_usagerecord ADD CONSTRAINT of_a_test CHECK (route <> 'refused here')"
        )
    try:
        send(ledger, *(line for _, line in lines[:10]), refused, *(line for _, line in lines[10:]))
        assert drain.drain() == 20
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE tenants_usagerecord DROP CONSTRAINT of_a_test")
    assert stored([name for name, _ in lines]) == 20
    assert put_aside(ledger) == [refused]


def test_an_emptied_redis_is_filled_again(ledger):
    with ledger.recorder() as recorder:
        recorder.record(fields())
        ledger.client.flushall()
        ids = recorder.record(fields())
    assert drain.drain() == 1
    assert stored(ids) == 1


def test_the_drain_says_when_a_key_was_last_used(ledger):
    of = factories.tenant()
    used, idle, deleted = factories.key(of).row, factories.key(of).row, factories.key(of).row
    gone = deleted.pk
    deleted.delete()
    now = datetime.now(UTC)
    for moment in (now, now - timedelta(hours=1)):
        send(
            ledger,
            packed(tenant_id=of.pk, key_id=used.pk, created_at=moment.timestamp())[1],
            packed(tenant_id=of.pk, key_id=gone)[1],
        )
        assert drain.drain() == 2
    assert KeyActivity.objects.get(key=used).last_used_at == now
    assert not KeyActivity.objects.filter(key__in=[idle.pk, gone]).exists()


def test_last_used_is_no_change_of_the_policy(ledger):
    of = factories.tenant()
    key = factories.key(of).row
    before = PolicyChange.objects.filter(tenant_id=of.pk).count()
    send(ledger, packed(tenant_id=of.pk, key_id=key.pk)[1])
    drain.drain()
    assert PolicyChange.objects.filter(tenant_id=of.pk).count() == before


def test_the_task_drains_and_waits_out_a_redis_that_is_away(ledger, caplog):
    name, line = packed()
    send(ledger, line)
    ledger.server.stop()
    tasks.drain_usage()
    assert "usage is not drained" in caplog.text
    ledger.server.start()
    ledger.server.wait_ready()
    tasks.drain_usage()
    assert stored([name]) == 1


def test_the_task_prunes_only_what_every_process_has_read():
    now = datetime.now(UTC)
    of = factories.tenant().pk
    old = PolicyChange.objects.create(tenant_id=of, xid=1, created_at=now - timedelta(hours=2))
    new = PolicyChange.objects.create(tenant_id=of, xid=2, created_at=now - timedelta(minutes=30))
    tasks.prune_policy_changes()
    assert not PolicyChange.objects.filter(pk=old.pk).exists()
    assert PolicyChange.objects.filter(pk=new.pk).exists()
