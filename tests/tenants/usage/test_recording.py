"""What was recorded is in the table once, whatever dies or is away in between."""

import asyncio
import logging
import signal
from uuid import UUID

import pytest

from gtapi.database import in_thread
from tenants.models import UsageRecord
from tenants.usage import drain
from tenants.usage import ledger as product
from tenants.usage.redis_stream import STREAM
from tests.tenants.usage.conftest import stored
from tests.tenants.usage.processes import fields
from tests.waiting import eventually


def test_a_record_keeps_every_field(ledger):
    entry = fields(
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
        recorder.record(entry)
    assert drain.drain() == 1
    row = UsageRecord.objects.get(pk=entry["id"])
    kept = {name: getattr(row, name) for name in entry if name not in ("id", "created_at")}
    assert kept == {name: value for name, value in entry.items() if name not in ("id", "created_at")}
    assert row.created_at.timestamp() == pytest.approx(entry["created_at"], abs=1e-5)


def test_a_recorder_killed_right_after_the_record_loses_nothing(ledger):
    with ledger.recorder() as recorder:
        ids = recorder.record(*(fields() for _ in range(300)))
        recorder.kill()
    assert len(ids) == 300
    drain.drain()
    assert stored(ids) == 300
    assert drain.drain() == 0
    assert ledger.client.xlen(STREAM) == 0


def test_a_redis_killed_right_after_the_record_loses_nothing(ledger):
    with ledger.recorder() as recorder:
        ids = recorder.record(*(fields() for _ in range(100)))
        ledger.server.stop(force=True)
    ledger.server.start()
    ledger.server.wait_ready()
    drain.drain()
    assert stored(ids) == 100


def test_records_of_the_same_moment_travel_together(ledger):
    with ledger.recorder() as recorder:
        recorder.record(*(fields() for _ in range(128)))
        assert ledger.client.xlen(STREAM) == 2


def test_with_redis_away_the_spool_keeps_records_until_it_is_back(ledger):
    with ledger.recorder() as recorder:
        ids = recorder.record(fields())
        ledger.server.stop(force=True)
        for _ in range(5):
            ids += recorder.record(*(fields() for _ in range(20)))
        assert [file.stat().st_mode & 0o777 for file in ledger.files()] == [0o600]
        ledger.server.start()
        ledger.server.wait_ready()
        eventually(lambda: not ledger.files())
        # From now on the way over Redis is taken again.
        ids += recorder.record(fields())
        assert ledger.files() == []
        assert drain.drain() == 102
    assert stored(ids) == 102


def test_a_recorder_killed_while_redis_is_away_leaves_its_file_to_the_drain(ledger):
    ledger.server.stop()
    with ledger.recorder() as recorder:
        ids = recorder.record(*(fields() for _ in range(50)))
        recorder.kill()
    ledger.server.start()
    ledger.server.wait_ready()
    assert len(ledger.files()) == 1
    drain.drain()
    assert ledger.files() == []
    assert stored(ids) == 50


def test_the_next_process_replays_what_a_killed_one_left(ledger):
    ledger.server.stop()
    with ledger.recorder() as recorder:
        ids = recorder.record(*(fields() for _ in range(50)))
        recorder.kill()
    ledger.server.start()
    ledger.server.wait_ready()
    with ledger.recorder():
        eventually(lambda: not ledger.files())
    assert ledger.client.xlen(STREAM) == 1
    drain.drain()
    assert stored(ids) == 50


def test_the_drain_leaves_the_file_of_a_living_process_alone(ledger):
    ledger.server.stop()
    with ledger.recorder() as recorder:
        first = recorder.record(fields())
        with pytest.raises(drain.AWAY):
            drain.drain()
        assert stored(first) == 0
        second = recorder.record(fields())
        assert len(ledger.files()) == 1
        recorder.kill()
    with pytest.raises(drain.AWAY):
        drain.drain()
    assert stored(first + second) == 2


def test_half_a_line_at_the_end_of_a_file_is_passed_over(ledger):
    ledger.server.stop()
    with ledger.recorder() as recorder:
        ids = recorder.record(fields())
        recorder.kill()
    with ledger.files()[0].open("ab") as file:
        file.write(b'{"id":"0193')
    ledger.server.start()
    ledger.server.wait_ready()
    assert drain.drain() == 1
    assert stored(ids) == 1
    assert ledger.files() == []


def test_a_redis_that_hangs_holds_nobody_up_and_doubles_nothing(ledger):
    with ledger.recorder() as recorder:
        ids = recorder.record(fields())
        ledger.server.process.send_signal(signal.SIGSTOP)
        try:
            ids += recorder.record(fields())
            assert len(ledger.files()) == 1
            ids += recorder.record(fields())
        finally:
            ledger.server.process.send_signal(signal.SIGCONT)
        eventually(lambda: not ledger.files())
        # The record that was given up came through as well, and then once more out of the spool.
        assert sum(entry[b"records"].count(ids[1].encode()) for _, entry in ledger.client.xrange(STREAM)) == 2
    assert drain.drain() == 3
    assert stored(ids) == 3


def test_a_redis_that_refuses_is_taken_for_away(ledger):
    with ledger.recorder() as recorder:
        ledger.client.config_set("maxmemory", "1")
        try:
            ids = recorder.record(fields())
            assert len(ledger.files()) == 1
        finally:
            ledger.client.config_set("maxmemory", "0")
        eventually(lambda: not ledger.files())
    drain.drain()
    assert stored(ids) == 1


def test_with_redis_and_the_disk_away_memory_keeps_the_record(ledger, tmp_path):
    nowhere = tmp_path / "file"
    nowhere.touch()
    with ledger.recorder(USAGE_SPOOL_DIR=str(nowhere / "spool")) as recorder:
        ledger.server.stop()
        ids = recorder.record(fields())
        ledger.server.start()
        ledger.server.wait_ready()
        eventually(lambda: ledger.client.xlen(STREAM))
    drain.drain()
    assert stored(ids) == 1


def test_an_ending_process_leaves_nothing_behind(ledger):
    with ledger.recorder() as recorder:
        entries = [fields() for _ in range(500)]
        recorder.ask(entries)
        recorder.end()
    drain.drain()
    assert stored([entry["id"] for entry in entries]) == 500


def entry(**values):
    made = fields(**values)
    return product.UsageEvent(**{**made, "id": UUID(made["id"])})


async def test_a_caller_that_is_cancelled_has_recorded_all_the_same(ledger):
    made = entry()
    async with product.recording():
        task = asyncio.create_task(product.record(made))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await in_thread(drain.drain) == 1
    assert await in_thread(stored, [str(made.id)]) == 1


async def test_one_cancelled_caller_leaves_the_others_waiting(ledger):
    made = [entry() for _ in range(3)]
    async with product.recording():
        tasks = [asyncio.create_task(product.record(one)) for one in made]
        await asyncio.sleep(0)
        tasks[1].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in done] == [type(None), asyncio.CancelledError, type(None)]
    assert await in_thread(drain.drain) == 3


async def test_what_is_recorded_after_the_end_goes_to_the_spool(ledger):
    made = entry()
    async with product.recording():
        pass
    await product.record(made)
    assert len(ledger.files()) == 1


async def test_the_backlog_counts_what_is_on_its_way(ledger):
    async with product.recording():
        await product.record(entry())
        assert await product.backlog() == product.Backlog(redis=True, stream=1, files=0, held=0)
        await in_thread(ledger.server.stop)
        await product.record(entry())
        assert await product.backlog() == product.Backlog(redis=False, stream=0, files=1, held=0)


async def test_what_no_column_can_hold_is_cut_and_scrubbed(ledger):
    spoilt = entry(
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
        await asyncio.gather(product.record(spoilt), product.record(entry()))
    assert await in_thread(drain.drain) == 2
    row = await in_thread(UsageRecord.objects.get, pk=spoilt.id)
    assert row.request_id == "r" * 40
    assert row.model == "m" * 200
    assert row.provider == "a\N{REPLACEMENT CHARACTER}b"
    assert row.raw_model == "half ? a pair"
    assert row.error_detail == "x" * 2000
    assert row.input_tokens == 2**63 - 1
    assert row.latency_ms == 2**31 - 1
    assert row.status == 2**15 - 1
    assert row.first_token_ms == -(2**31 - 1)


async def test_an_error_names_the_record_that_neither_redis_nor_the_disk_took(
    ledger, settings, tmp_path, caplog
):
    nowhere = tmp_path / "file"
    nowhere.touch()
    settings.USAGE_SPOOL_DIR = nowhere / "spool"
    await in_thread(ledger.server.stop)
    made = entry()
    with caplog.at_level(logging.ERROR, "tenants.usage.ledger"):
        async with product.recording():
            await product.record(made)
            assert (await product.backlog()).held == 1
    assert str(made.id) in caplog.text
