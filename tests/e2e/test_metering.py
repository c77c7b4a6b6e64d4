"""Every authenticated request becomes one record, durable before its last byte, whatever dies next."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from gtapi.stack.redis import Redis
from tenants.models import InferenceKey, KeyActivity, UsageRecord
from tests import answers, environment, factories
from tests.gateway import WorkerProcess
from tests.wire import PLAIN, RawClient, chat, events

#: Seconds within which a record has to be in the database: the worker drains once a second.
SOON = 20

pytestmark = pytest.mark.usefixtures("worker")


@pytest.fixture
def records(world) -> Callable[[int], list[UsageRecord]]:
    """Waits for so many records of the test's tenant and returns them in order; more are a failure."""

    def wait(count: int) -> list[UsageRecord]:
        rows: list[UsageRecord] = []
        deadline = time.monotonic() + SOON
        while len(rows) < count and time.monotonic() < deadline:
            time.sleep(0.1)
            rows = list(UsageRecord.objects.filter(tenant_id=world.tenant.pk).order_by("id"))
        assert len(rows) == count
        return rows

    return wait


def test_a_chat_is_recorded_with_all_that_an_operator_asks_about(http, upstream, world, records):
    spent = answers.usage(11, 7, prompt_tokens_details={"cached_tokens": 5})
    spent["completion_tokens_details"] = {"reasoning_tokens": 3}
    upstream.script(world.raw, answers.answer(answers.completion(usage=spent)))
    response = http.post("/chat/completions", json=chat("support"))
    (row,) = records(1)
    assert (row.route, row.model, row.agent_version) == ("/chat/completions", "support", 1)
    assert (row.provider, row.raw_model) == (world.provider.name, world.raw)
    assert (row.input_tokens, row.output_tokens, row.cached_tokens, row.reasoning_tokens) == (11, 7, 5, 3)
    assert (row.status, row.error_code, row.streamed, row.estimated) == (200, "", False, False)
    assert row.key_id == world.key.row.pk
    assert row.request_id == response.headers["x-request-id"]
    assert 0 <= row.latency_ms < 30_000
    assert row.first_token_ms is None


@pytest.mark.parametrize("asked", [True, False])
def test_a_stream_is_metered_whether_or_not_the_client_asked_for_usage(http, upstream, world, records, asked):
    upstream.script(world.raw, answers.stream(*answers.chunks("one ", "two", usage=answers.usage(9, 4))))
    more = {"stream_options": {"include_usage": True}} if asked else {}
    response = http.post("/chat/completions", json=chat("fast", stream=True, **more))
    assert any(event != "[DONE]" and event.get("usage") for event in events(response.text)) is asked
    (row,) = records(1)
    assert (row.input_tokens, row.output_tokens, row.estimated, row.streamed) == (9, 4, False, True)
    assert row.agent_version is None
    assert 0 <= row.first_token_ms <= row.latency_ms


@pytest.mark.parametrize("stream", [False, True])
def test_unreported_tokens_are_estimated_and_marked(http, upstream, world, records, stream):
    text = "The quick brown fox jumps over the lazy dog."
    silent = answers.completion(text)
    silent.pop("usage", None)
    play = answers.stream(*answers.chunks(text)) if stream else answers.answer(silent)
    upstream.script(world.raw, play)
    http.post("/chat/completions", json=chat("fast", stream=stream))
    (row,) = records(1)
    assert row.estimated
    assert row.output_tokens == 10
    assert row.input_tokens > 0


def test_an_estimate_counts_tools_and_their_calls(http, upstream, world, records):
    upstream.script(world.raw, answers.answer(answers.completion(usage=None)))
    long = "word " * 100
    tools = [{"type": "function", "function": {"name": "ring", "description": long}}]
    calls = [
        {"id": "call_1", "type": "function", "function": {"name": "ring", "arguments": long}},
        {"id": "call_2", "type": "custom", "custom": {"name": "knock", "input": long}},
        {"id": "call_3", "type": "custom", "custom": "odd"},
    ]
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "rung"},
    ]
    assert http.post("/chat/completions", json=chat("fast", messages=messages)).status_code == 200
    assert http.post("/chat/completions", json=chat("fast", tools=tools)).status_code == 200
    called, defined = records(2)
    assert called.estimated
    assert 200 < called.input_tokens < 250
    assert 100 < defined.input_tokens < 150


def test_refused_requests_are_recorded_and_unauthenticated_ones_are_not(gateway, http, world, records):
    poor = factories.key(world.tenant, scopes=["models:read"])
    PLAIN.post(f"{gateway.base_url}/chat/completions", json=chat("fast"))
    PLAIN.post(
        f"{gateway.base_url}/chat/completions",
        json=chat("fast"),
        headers={"authorization": f"Bearer {poor.plain}"},
    )
    http.post("/chat/completions", json=chat("nobody"))
    http.post("/chat/completions", json={"model": "fast"})
    http.post("/chat/completions", content=b"{", headers={"content-type": "application/json"})
    http.get("/chat/completions")
    http.get("/models")
    rows = records(6)
    assert [(row.status, row.error_code) for row in rows] == [
        (403, "insufficient_scope"),
        (404, "model_not_found"),
        (400, "missing_required_parameter"),
        (400, "invalid_json"),
        (405, "method_not_allowed"),
        (200, ""),
    ]
    assert [row.model for row in rows] == ["", "nobody", "fast", "", "", ""]


def test_provider_error_is_recorded_with_its_text(http, upstream, world, records):
    said = answers.error_body(f"no such account for {factories.CREDENTIAL}")
    upstream.script(world.raw, answers.answer(said, status=401))
    http.post("/chat/completions", json=chat("fast"))
    (row,) = records(1)
    assert (row.status, row.error_code) == (502, "upstream_error")
    assert "no such account" in row.error_detail
    assert factories.CREDENTIAL not in row.error_detail


def test_a_stream_that_breaks_off_is_recorded_as_failed(http, upstream, world, records):
    upstream.script(world.raw, answers.stream(*answers.chunks("half")[:-1], done=False))
    assert "error" in events(http.post("/chat/completions", json=chat("fast", stream=True)).text)[-1]
    (row,) = records(1)
    assert (row.status, row.error_code) == (502, "upstream_error")
    assert row.estimated
    assert row.output_tokens > 0


def test_disconnect_is_recorded_with_its_usage(gateway, upstream, world, records):
    upstream.script(world.raw, answers.endless())
    client = RawClient(gateway.port, world.authorization["authorization"])
    client.post(chat("fast", stream=True))
    client.read_until(b"on and on")
    client.leave()
    (row,) = records(1)
    assert (row.status, row.error_code) == (499, "client_closed_request")
    assert row.estimated
    assert row.output_tokens > 0


def test_the_moment_of_a_keys_last_use_comes_from_the_records(http, world, records):
    before = world.key.row.created_at
    http.get("/models")
    records(1)
    assert KeyActivity.objects.get(key=world.key.row).last_used_at >= before
    assert InferenceKey.objects.get(pk=world.key.row.pk).digest == world.key.row.digest


@pytest.mark.parametrize("stream", [False, True])
def test_killed_server_loses_no_usage_of_completed_responses(start_gateway, upstream, world, records, stream):
    gateway = start_gateway()
    upstream.script(world.raw, answers.stream(*answers.chunks("yes")) if stream else answers.answer())
    with httpx.Client(base_url=gateway.base_url, headers=world.authorization) as client:
        for _ in range(5):
            assert client.post("/chat/completions", json=chat("fast", stream=stream)).status_code == 200
    for pid in _workers(gateway.process.pid):
        os.kill(pid, signal.SIGKILL)
    records(5)


def test_usage_without_redis_is_recorded_once_it_returns(start_gateway, world, records):
    sockets = environment.ROOT / "s2"
    sockets.mkdir(mode=0o700, exist_ok=True)
    redis = Redis(environment.ROOT / "redis2", sockets)
    gateway = start_gateway(REDIS_URL=redis.url, USAGE_SPOOL_DIR=str(environment.ROOT / "spool2"))
    with httpx.Client(base_url=gateway.base_url, headers=world.authorization, timeout=30) as client:
        for _ in range(3):
            assert client.post("/chat/completions", json=chat("fast")).status_code == 200
        with redis, _worker_of(redis.url):
            assert client.post("/chat/completions", json=chat("fast")).status_code == 200
            records(4)
            time.sleep(2)
            records(4)


@contextlib.contextmanager
def _worker_of(redis_url: str) -> Iterator[None]:

    with WorkerProcess("worker2", REDIS_URL=redis_url, USAGE_SPOOL_DIR=str(environment.ROOT / "spool2")):
        yield


def _workers(master: int) -> list[int]:
    found = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    assert found
    return [int(pid) for pid in found]
