"""Recorded events are stored exactly once, whichever process dies or service is unavailable."""

import asyncio
import logging
import signal

import pytest

from gtapi.database import in_thread
from tenants.models import UsageRecord
from tenants.usage import drain
from tenants.usage import ledger as product
from tenants.usage.redis_stream import STREAM
from tests.tenants.usage.conftest import stored
from tests.tenants.usage.processes import event_values, usage_event
from tests.waiting import eventually


def test_every_field_of_an_event_is_stored(ledger):
    values = event_values(
        tenant_id=7,
        key_id=8,
        request_id="req_abc",
        route="embeddings",
        model="Fünf",
        agent_version=3,
        provider="main",
        raw_model="raw/model",
        streamed=True,
        status=502,
        error_code="upstream_error",
        error_detail="it said \\u0000 no",
        input_tokens=1,
        output_tokens=2,
        cached_tokens=3,
        reasoning_tokens=4,
        estimated=True,
        latency_ms=5,
        first_token_ms=6,
    )
    with ledger.recorder() as recorder:
        recorder.record(values)
    assert drain.drain() == 1
    row = UsageRecord.objects.get(pk=values["id"])
    actual = {name: getattr(row, name) for name in values if name not in ("id", "created_at")}
    assert actual == {name: value for name, value in values.items() if name not in ("id", "created_at")}
    assert row.created_at.timestamp() == pytest.approx(values["created_at"], abs=1e-5)


def test_recorder_killed_after_recording_loses_nothing(ledger):
    with ledger.recorder() as recorder:
        ids = recorder.record(*(event_values() for _ in range(300)))
        recorder.kill()
    assert len(ids) == 300
    drain.drain()
    assert stored(ids) == 300
    assert drain.drain() == 0
    assert ledger.client.xlen(STREAM) == 0


def test_redis_killed_after_recording_loses_nothing(ledger):
    with ledger.recorder() as recorder:
        ids = recorder.record(*(event_values() for _ in range(100)))
        ledger.server.stop(force=True)
    ledger.server.start()
    ledger.server.wait_ready()
    drain.drain()
    assert stored(ids) == 100


def test_simultaneous_events_share_a_stream_entry(ledger):
    with ledger.recorder() as recorder:
        recorder.record(*(event_values() for _ in range(128)))
        assert ledger.client.xlen(STREAM) == 2


def test_spool_holds_events_while_redis_is_unavailable(ledger):
    with ledger.recorder() as recorder:
        ids = recorder.record(event_values())
        ledger.server.stop(force=True)
        for _ in range(5):
            ids += recorder.record(*(event_values() for _ in range(20)))
        assert [file.stat().st_mode & 0o777 for file in ledger.files()] == [0o600]
        ledger.server.start()
        ledger.server.wait_ready()
        eventually(lambda: not ledger.files())
        # From now on events go to Redis again.
        ids += recorder.record(event_values())
        assert ledger.files() == []
        assert drain.drain() == 102
    assert stored(ids) == 102


def test_drain_stores_the_spool_file_of_a_killed_recorder(ledger):
    ledger.server.stop()
    with ledger.recorder() as recorder:
        ids = recorder.record(*(event_values() for _ in range(50)))
        recorder.kill()
    ledger.server.start()
    ledger.server.wait_ready()
    assert len(ledger.files()) == 1
    drain.drain()
    assert ledger.files() == []
    assert stored(ids) == 50


def test_next_process_replays_the_spool_file_of_a_killed_one(ledger):
    ledger.server.stop()
    with ledger.recorder() as recorder:
        ids = recorder.record(*(event_values() for _ in range(50)))
        recorder.kill()
    ledger.server.start()
    ledger.server.wait_ready()
    with ledger.recorder():
        eventually(lambda: not ledger.files())
    assert ledger.client.xlen(STREAM) == 1
    drain.drain()
    assert stored(ids) == 50


def test_drain_skips_the_spool_file_of_a_running_process(ledger):
    ledger.server.stop()
    with ledger.recorder() as recorder:
        first = recorder.record(event_values())
        with pytest.raises(drain.UNAVAILABLE):
            drain.drain()
        assert stored(first) == 0
        second = recorder.record(event_values())
        assert len(ledger.files()) == 1
        recorder.kill()
    with pytest.raises(drain.UNAVAILABLE):
        drain.drain()
    assert stored(first + second) == 2


def test_incomplete_last_line_of_a_spool_file_is_skipped(ledger):
    ledger.server.stop()
    with ledger.recorder() as recorder:
        ids = recorder.record(event_values())
        recorder.kill()
    with ledger.files()[0].open("ab") as file:
        file.write(b'{"id":"0193')
    ledger.server.start()
    ledger.server.wait_ready()
    assert drain.drain() == 1
    assert stored(ids) == 1
    assert ledger.files() == []


def test_hanging_redis_neither_blocks_nor_duplicates_events(ledger):
    with ledger.recorder() as recorder:
        ids = recorder.record(event_values())
        ledger.server.process.send_signal(signal.SIGSTOP)
        try:
            ids += recorder.record(event_values())
            assert len(ledger.files()) == 1
            ids += recorder.record(event_values())
        finally:
            ledger.server.process.send_signal(signal.SIGCONT)
        eventually(lambda: not ledger.files())
        # The event that timed out arrived after all, and again from the spool.
        assert sum(entry[b"records"].count(ids[1].encode()) for _, entry in ledger.client.xrange(STREAM)) == 2
    assert drain.drain() == 3
    assert stored(ids) == 3


def test_redis_that_rejects_writes_counts_as_unavailable(ledger):
    with ledger.recorder() as recorder:
        ledger.client.config_set("maxmemory", "1")
        try:
            ids = recorder.record(event_values())
            assert len(ledger.files()) == 1
        finally:
            ledger.client.config_set("maxmemory", "0")
        eventually(lambda: not ledger.files())
    drain.drain()
    assert stored(ids) == 1


def test_memory_holds_events_while_redis_and_disk_are_unavailable(ledger, tmp_path):
    not_a_folder = tmp_path / "file"
    not_a_folder.touch()
    with ledger.recorder(USAGE_SPOOL_DIR=str(not_a_folder / "spool")) as recorder:
        ledger.server.stop()
        ids = recorder.record(event_values())
        ledger.server.start()
        ledger.server.wait_ready()
        eventually(lambda: ledger.client.xlen(STREAM))
    drain.drain()
    assert stored(ids) == 1


def test_process_flushes_all_events_on_exit(ledger):
    with ledger.recorder() as recorder:
        events = [event_values() for _ in range(500)]
        recorder.send(events)
        recorder.shut_down()
    drain.drain()
    assert stored([event["id"] for event in events]) == 500


async def test_cancelled_caller_has_recorded_its_event(ledger):
    event = usage_event()
    async with product.recording():
        task = asyncio.create_task(product.record(event))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await in_thread(drain.drain) == 1
    assert await in_thread(stored, [str(event.id)]) == 1


async def test_cancelled_caller_does_not_affect_others(ledger):
    events = [usage_event() for _ in range(3)]
    async with product.recording():
        tasks = [asyncio.create_task(product.record(event)) for event in events]
        await asyncio.sleep(0)
        tasks[1].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [type(None), asyncio.CancelledError, type(None)]
    assert await in_thread(drain.drain) == 3


async def test_events_recorded_after_shutdown_go_to_the_spool(ledger):
    event = usage_event()
    async with product.recording():
        pass
    await product.record(event)
    assert len(ledger.files()) == 1


async def test_values_that_exceed_their_columns_are_cut_and_sanitized(ledger):
    event = usage_event(
        request_id="r" * 100,
        model="m" * 1_000_000,
        provider="a\0b",
        raw_model="half \ud800 a pair",
        error_detail="x" * 100_000,
        input_tokens=2**80,
        latency_ms=2**40,
        status=99_999,
        first_token_ms=-(2**40),
    )
    async with product.recording():
        await asyncio.gather(product.record(event), product.record(usage_event()))
    assert await in_thread(drain.drain) == 2
    row = await in_thread(UsageRecord.objects.get, pk=event.id)
    assert row.request_id == "r" * 40
    assert row.model == "m" * 200
    assert row.provider == "a\N{REPLACEMENT CHARACTER}b"
    assert row.raw_model == "half ? a pair"
    assert row.error_detail == "x" * 2000
    assert row.input_tokens == 2**63 - 1
    assert row.latency_ms == 2**31 - 1
    assert row.status == 2**15 - 1
    assert row.first_token_ms == -(2**31 - 1)


async def test_event_held_only_in_memory_is_logged(ledger, settings, tmp_path, caplog):
    not_a_folder = tmp_path / "file"
    not_a_folder.touch()
    settings.USAGE_SPOOL_DIR = not_a_folder / "spool"
    await in_thread(ledger.server.stop)
    event = usage_event()
    with caplog.at_level(logging.ERROR, "tenants.usage.ledger"):
        async with product.recording():
            await product.record(event)
    assert f"{event.id} is held in memory only" in caplog.text
