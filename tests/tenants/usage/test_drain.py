"""The drain stores each event once: with malformed lines, with concurrent drains, and when it is killed."""

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
from tests.tenants.usage.processes import event_values
from tests.waiting import eventually


def send(ledger, *lines: bytes) -> None:
    ledger.client.xadd(STREAM, {FIELD: b"\n".join(lines)})


def packed(**values) -> tuple[str, bytes]:
    event = event_values(**values)
    return event["id"], orjson.dumps(event)


def dead_letters(ledger) -> list[bytes]:
    return [entry[FIELD.encode()] for _, entry in ledger.client.xrange(DEAD_LETTERS)]


def test_redelivered_events_are_stored_once(ledger):
    name, line = packed(model="once")
    for _ in range(2):
        send(ledger, line, line)
        send(ledger, line)
        drain.drain()
    assert UsageRecord.objects.filter(model="once").count() == 1
    assert stored([name]) == 1


def test_killed_drain_neither_loses_nor_duplicates_events(ledger):
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
    """Block writes to the table; yields a function that tells whether a writer is waiting."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE tenants_usagerecord IN SHARE MODE")

        def writer_is_waiting() -> bool:
            cursor.execute(
                "SELECT count(*) FROM pg_locks"
                " WHERE NOT granted AND relation = 'tenants_usagerecord'::regclass"
            )
            return cursor.fetchone() != (0,)

        yield writer_is_waiting


def test_drain_killed_before_commit_leaves_the_stream_unchanged(ledger):
    name, line = packed()
    with ledger.drainer() as drainer:
        with table_locked() as writer_is_waiting:
            send(ledger, line)
            eventually(writer_is_waiting)
            drainer.kill()
        assert ledger.client.xlen(STREAM) == 1
        eventually(lambda: drain.drain() or stored([name]))
    assert stored([name]) == 1
    assert ledger.client.xlen(STREAM) == 0


def test_drain_that_cannot_delete_stored_entries_duplicates_nothing(ledger):
    name, line = packed()
    with ledger.drainer() as drainer:
        with table_locked() as writer_is_waiting:
            send(ledger, line)
            eventually(writer_is_waiting)
            ledger.server.stop(force=True)
        assert drainer.child.wait(30) != 0
    assert stored([name]) == 1
    ledger.server.start()
    ledger.server.wait_ready()
    assert ledger.client.xlen(STREAM) == 1
    assert drain.drain() == 0
    assert ledger.client.xlen(STREAM) == 0
    assert stored([name]) == 1


def test_concurrent_drains_store_each_event_once(ledger):
    with ledger.drainer(), ledger.drainer(), ledger.recorder() as recorder:
        ids = []
        for _ in range(30):
            ids += recorder.record(*(event_values() for _ in range(random.randint(1, 100))))
        eventually(lambda: stored(ids) == len(ids) and ledger.client.xlen(STREAM) == 0)
    assert dead_letters(ledger) == []


@pytest.mark.parametrize(
    "line",
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
def test_malformed_line_becomes_a_dead_letter(ledger, line):
    before, after = packed(), packed()
    send(ledger, before[1], line, after[1])
    assert drain.drain() == 2
    assert stored([before[0], after[0]]) == 2
    assert dead_letters(ledger) == [line]
    assert ledger.client.xlen(STREAM) == 0


def test_stream_entry_without_the_field_becomes_a_dead_letter(ledger):
    name, line = packed()
    ledger.client.xadd(STREAM, {"something": "else"})
    send(ledger, line)
    assert drain.drain() == 1
    assert stored([name]) == 1
    assert dead_letters(ledger) == [b"{b'something': b'else'}"]


def test_values_of_the_wrong_type_are_converted(ledger):
    name, line = packed(
        model=5, route=None, status="200", input_tokens=1.0, streamed="yes", unknown=1, latency_ms=None
    )
    send(ledger, line)
    drain.drain()
    row = UsageRecord.objects.get(pk=name)
    assert (row.model, row.route, row.status, row.input_tokens) == ("5", "", 0, 1)
    assert (row.streamed, row.latency_ms) == (True, 0)


def test_event_rejected_by_the_database_becomes_a_dead_letter_alone(ledger):
    lines = [packed() for _ in range(20)]
    rejected = packed(route="rejected here")[1]
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE tenants_usagerecord ADD CONSTRAINT of_a_test CHECK (route <> 'rejected here')"
        )
    try:
        send(ledger, *(line for _, line in lines[:10]), rejected, *(line for _, line in lines[10:]))
        assert drain.drain() == 20
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE tenants_usagerecord DROP CONSTRAINT of_a_test")
    assert stored([name for name, _ in lines]) == 20
    assert dead_letters(ledger) == [rejected]


def test_recording_continues_after_flushall(ledger):
    with ledger.recorder() as recorder:
        recorder.record(event_values())
        ledger.client.flushall()
        ids = recorder.record(event_values())
    assert drain.drain() == 1
    assert stored(ids) == 1


def test_drain_updates_the_last_use_of_keys(ledger):
    tenant = factories.tenant()
    used, idle, deleted = factories.key(tenant).row, factories.key(tenant).row, factories.key(tenant).row
    deleted_id = deleted.pk
    deleted.delete()
    now = datetime.now(UTC)
    for moment in (now, now - timedelta(hours=1)):
        send(
            ledger,
            packed(tenant_id=tenant.pk, key_id=used.pk, created_at=moment.timestamp())[1],
            packed(tenant_id=tenant.pk, key_id=deleted_id)[1],
        )
        assert drain.drain() == 2
    assert KeyActivity.objects.get(key=used).last_used_at == now
    assert not KeyActivity.objects.filter(key__in=[idle.pk, deleted_id]).exists()


def test_last_use_is_not_a_policy_change(ledger):
    tenant = factories.tenant()
    key = factories.key(tenant).row
    before = PolicyChange.objects.filter(tenant_id=tenant.pk).count()
    send(ledger, packed(tenant_id=tenant.pk, key_id=key.pk)[1])
    drain.drain()
    assert PolicyChange.objects.filter(tenant_id=tenant.pk).count() == before


def test_drain_task_logs_a_warning_while_redis_is_unavailable(ledger, caplog):
    name, line = packed()
    send(ledger, line)
    ledger.server.stop()
    tasks.drain_usage()
    assert "Usage events were not drained" in caplog.text
    ledger.server.start()
    ledger.server.wait_ready()
    tasks.drain_usage()
    assert stored([name]) == 1


def test_prune_task_deletes_only_old_policy_changes():
    now = datetime.now(UTC)
    tenant_id = factories.tenant().pk
    old = PolicyChange.objects.create(tenant_id=tenant_id, xid=1, created_at=now - timedelta(hours=2))
    new = PolicyChange.objects.create(tenant_id=tenant_id, xid=2, created_at=now - timedelta(minutes=30))
    tasks.prune_policy_changes()
    assert not PolicyChange.objects.filter(pk=old.pk).exists()
    assert PolicyChange.objects.filter(pk=new.pk).exists()
