"""What every adapter has to do, whatever its provider's wire. A new adapter joins by a row in `scripts.py`."""

import asyncio
import time

import pytest

from gtapi.errors import (
    BadRequest,
    ContextLengthExceeded,
    RateLimited,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamTimeout,
)
from inference.endpoints import ENDPOINTS
from inference.providers import ADAPTERS
from tests.providers.calls import BOTH, failure
from tests.providers.contract import STREAMED, WHOLE, is_speech
from tests.providers.scripts import SCRIPTS

OPERATIONS = [(kind, name) for kind, adapter in ADAPTERS.items() for name in sorted(adapter.operations)]
EVERY = pytest.mark.parametrize(("kind", "operation"), OPERATIONS)
EVERY_STREAM = pytest.mark.parametrize(
    ("kind", "operation"), [(kind, name) for kind, name in OPERATIONS if SCRIPTS[kind].streamed(name)]
)
#: By error: the class, status and code that a client gets.
ERRORS = {
    "invalid": (BadRequest, 400, "invalid_value"),
    "context_length": (ContextLengthExceeded, 400, "context_length_exceeded"),
    "content_filter": (BadRequest, 400, "content_filter"),
    "unauthorized": (UpstreamFailed, 502, "upstream_error"),
    "forbidden": (UpstreamFailed, 502, "upstream_error"),
    "not_found": (UpstreamFailed, 502, "upstream_error"),
    "rate_limit": (RateLimited, 429, "rate_limit_exceeded"),
    "quota": (UpstreamOverloaded, 503, "upstream_overloaded"),
    "failure": (UpstreamFailed, 502, "upstream_error"),
    "unavailable": (UpstreamFailed, 502, "upstream_error"),
    "timeout": (UpstreamTimeout, 504, "upstream_timeout"),
}


@pytest.fixture(scope="session", autouse=True)
def database() -> None:
    """No database: adapters know nothing of it."""


def test_every_adapter_has_a_row_in_the_suite():
    assert SCRIPTS.keys() == ADAPTERS.keys()


def test_every_adapter_declares_a_label_and_operations():
    assert len({adapter.label for adapter in ADAPTERS.values()}) == len(ADAPTERS)
    for adapter in ADAPTERS.values():
        assert adapter.operations
        assert adapter.operations <= ENDPOINTS.keys()


@EVERY
async def test_whole_response_has_the_shape_of_openais_api(subject, operation):
    subject.behave(subject.script.whole(operation))
    response = await subject.fetch(operation)
    if operation == "speech":
        assert is_speech(response)
    else:
        assert WHOLE[operation](response), response


@EVERY_STREAM
async def test_stream_yields_lists_of_events_and_ends(subject, operation):
    subject.behave(subject.script.streamed(operation))
    events = await subject.consume(operation)
    assert STREAMED[operation](events), events


async def test_chat_stream_reports_usage(subject):
    if "chat" not in subject.adapter.operations:
        return
    subject.behave(subject.script.streamed("chat"))
    usages = [event["usage"] for event in await subject.consume("chat") if event.get("usage")]
    assert usages
    assert usages[-1]["prompt_tokens"] > 0


async def test_models_are_listed(subject):
    subject.upstream.script("/v1/models", *filter(None, [subject.script.models().play]))
    result = await asyncio.to_thread(subject.adapter.check_connection, subject.connection())
    assert result.ok
    assert not subject.adapter.has_network or result.models == ("raw-chat",)


@BOTH
@pytest.mark.parametrize("error", ERRORS)
async def test_error_of_the_provider_is_mapped(subject, error, streamed):
    subject.behave(subject.script.failing(error))
    kind, status, code = ERRORS[error]
    got = await failure(subject, streamed=streamed)
    assert (type(got), got.status, got.code) == (kind, status, code)
    assert got.detail.startswith("main: ")
    if status in (429, 503):
        assert got.headers["retry-after"] == "7"


@BOTH
@pytest.mark.parametrize(("param", "named"), [("temperature", "temperature"), ("x_internal", None)])
async def test_error_names_only_parameters_that_the_client_sent(subject, streamed, param, named):
    subject.behave(subject.script.failing("invalid", param=param))
    error = await failure(subject, streamed=streamed, client_params={"model", "temperature"})
    assert error.param == named


@BOTH
async def test_silence_before_the_response_is_a_timeout(subject, streamed):
    operation = subject.streamed_operation if streamed else subject.operation
    subject.behave(subject.script.slow(operation, streamed=streamed, before=30))
    started = time.monotonic()
    limit = {"first_byte": 0.3} if streamed else {"total": 0.3}
    assert type(await failure(subject, streamed=streamed, **limit)) is UpstreamTimeout
    assert time.monotonic() - started < 3
    assert await subject.is_left()


async def test_silence_within_a_stream_is_a_timeout(subject):
    subject.behave(subject.script.slow(subject.streamed_operation, streamed=True, between=30))
    error = await failure(subject, streamed=True, first_byte=60, between_chunks=0.3)
    assert type(error) is UpstreamTimeout
    assert await subject.is_left()


async def test_stream_that_takes_longer_than_its_total_time_is_a_timeout(subject):
    subject.behave(subject.script.slow(subject.streamed_operation, streamed=True, between=0.2))
    assert type(await failure(subject, streamed=True, total=0.3)) is UpstreamTimeout


async def test_whole_response_may_take_longer_than_the_timeouts_of_streams(subject):
    subject.behave(subject.script.slow(subject.operation, streamed=False, before=0.4))
    assert await subject.fetch(subject.operation, first_byte=0.1, between_chunks=0.1)


async def test_waiting_for_the_client_is_not_silence_of_the_provider(subject):
    subject.behave(subject.script.streamed(subject.streamed_operation))
    async for _ in subject.stream(subject.streamed_operation, first_byte=0.1, between_chunks=0.1):
        await asyncio.sleep(0.15)


async def test_stream_that_breaks_off_fails_after_its_events(subject):
    subject.behave(subject.script.breaking_off(subject.streamed_operation))
    events: list = []
    with pytest.raises(UpstreamFailed):
        await subject.consume(subject.streamed_operation, events=events)
    assert len(events) == 2


@BOTH
async def test_cancelled_call_ends_at_once(subject, streamed):
    operation = subject.streamed_operation if streamed else subject.operation
    subject.behave(subject.script.slow(operation, streamed=streamed, before=30))

    async def first() -> None:
        await anext(subject.stream(operation))

    task = asyncio.create_task(first() if streamed else subject.fetch(operation))
    if subject.adapter.has_network:
        await asyncio.to_thread(subject.upstream.wait_for, subject.model)
    else:
        await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await subject.is_left()


async def test_stream_that_is_left_closes_its_connection(subject):
    subject.behave(subject.script.slow(subject.streamed_operation, streamed=True, between=0.5))
    stream = subject.stream(subject.streamed_operation)
    assert await anext(stream)
    await stream.aclose()
    assert await subject.is_left()
