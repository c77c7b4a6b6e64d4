"""Embedding and transcription for the app ``files``, outside of a web process."""

import asyncio
import struct
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from functools import partial
from math import hypot

import pytest
import pytest_asyncio

from files.backends import Caller, RecordingSegment, embedder, transcriber
from files.search import search
from gtapi.database import in_thread
from gtapi.errors import (
    APIError,
    BadRequest,
    ContextLengthExceeded,
    ModelNotFound,
    RateLimited,
    UpstreamFailed,
)
from inference import file_backends
from inference.providers.http_client import connected
from tenants.models import NO_KEY, UsageRecord
from tenants.usage.ledger import recording
from tests import answers, factories
from tests.upstream import Wire

SOON = 20


@pytest_asyncio.fixture(autouse=True)
async def services():
    async with connected(), recording():
        yield


@pytest.fixture
def entry(world):
    return factories.catalog(world.provider, "embedder", capabilities=["embed"], published=False)


@pytest.fixture
def listener(world):
    return factories.catalog(world.provider, "listener", capabilities=["transcribe"])


@pytest.fixture
def caller(world):
    return Caller(world.tenant.pk, world.key.row.pk, "req_of_the_caller")


@pytest.fixture
def record(world, worker) -> Callable[[], Awaitable[UsageRecord]]:
    """Waits for the one record of the test's tenant; more are a failure."""

    async def wait() -> UsageRecord:
        deadline = time.monotonic() + SOON
        while time.monotonic() < deadline:
            rows = await in_thread(list, UsageRecord.objects.filter(tenant_id=world.tenant.pk))
            if rows:
                (row,) = rows
                return row
            await asyncio.sleep(0.1)
        raise AssertionError("no record")

    return wait


def vectors(*given, **more):
    data = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(given)]
    return answers.answer(
        {"object": "list", "data": data, "usage": {"prompt_tokens": 5, "total_tokens": 5}, **more}
    )


async def test_texts_become_unit_vectors_in_order(upstream, entry, caller):
    upstream.script(entry.model, vectors([3.0, 4.0], [0.0, 100_000.0], [0.0, 0.0]))
    made = await embedder()(caller, "embedder", ["a", "b", "c"], query=False, within=SOON)
    assert made == [[0.6, 0.8], [0.0, 1.0], [0.0, 0.0]]
    assert upstream.last(entry.model).json["input"] == ["a", "b", "c"]


async def test_queries_and_passages_are_marked_for_the_model(upstream, entry, caller):
    upstream.script(entry.model, vectors([1.0]))
    await file_backends.embed(caller, "embedder", ["a"], query=True, within=SOON)
    assert "input_type" not in upstream.last(entry.model).json
    for name, value in (
        ("query_prefix", "query: "),
        ("passage_prefix", "passage: "),
        ("passage_input_type", "doc"),
    ):
        setattr(entry, name, value)
    await in_thread(entry.save)
    await file_backends.embed(caller, "embedder", ["a"], query=True, within=SOON)
    assert upstream.last(entry.model).json["input"] == ["query: a"]
    assert "input_type" not in upstream.last(entry.model).json
    await file_backends.embed(caller, "embedder", ["a"], query=False, within=SOON)
    assert upstream.last(entry.model).json["input"] == ["passage: a"]
    assert upstream.last(entry.model).json["input_type"] == "doc"


async def test_vectors_are_ordered_by_the_providers_indexes(upstream, entry, caller):
    data = [{"index": 1, "embedding": [0.0, 1.0]}, {"index": 0, "embedding": [1.0, 0.0]}]
    upstream.script(entry.model, answers.answer({"data": data}))
    assert await file_backends.embed(caller, "embedder", ["a", "b"], query=False, within=SOON) == [
        [1.0, 0.0],
        [0.0, 1.0],
    ]


async def test_many_texts_are_sent_in_several_requests_and_recorded_once(upstream, entry, caller, record):
    full = [[1.0, 0.0]] * file_backends.MAX_TEXTS
    upstream.script(entry.model, vectors(*full), vectors([0.0, 1.0]))
    texts = [f"text {number}" for number in range(file_backends.MAX_TEXTS + 1)]
    made = await file_backends.embed(caller, "embedder", texts, query=False, within=SOON)
    assert len(made) == len(texts)
    assert made[-1] == [0.0, 1.0]
    sent = [request.json["input"] for request in upstream.received(entry.model)]
    assert [len(texts) for texts in sent] == [file_backends.MAX_TEXTS, 1]
    row = await record()
    assert (row.route, row.model, row.provider, row.raw_model) == (
        "/embeddings", "embedder", entry.provider.name, entry.model,
    )  # fmt: skip
    assert (row.request_id, row.key_id, row.status) == ("req_of_the_caller", caller.key_id, 200)
    assert (row.input_tokens, row.estimated) == (10, False)


async def test_long_texts_are_sent_in_smaller_batches(upstream, entry, caller):
    upstream.script(entry.model, vectors([1.0]), vectors([1.0]))
    long = "x" * (file_backends.MAX_CHARACTERS - 1)
    assert len(await file_backends.embed(caller, "embedder", [long, "ab"], query=False, within=SOON)) == 2


async def test_no_request_is_sent_without_texts(upstream, entry, caller):
    assert await file_backends.embed(caller, "embedder", [], query=True, within=SOON) == []
    assert upstream.received(entry.model) == []


@pytest.mark.parametrize(
    "data",
    [
        [[1.0, 0.0]],
        [[1.0, 0.0], [1.0]],
        [[1.0, 0.0], b64encode(struct.pack("<2f", 1.0, float("inf"))).decode()],
        [[1.0, 0.0], [None, 0.0]],
        [[1.0, 0.0], "%%%"],
        [[1.0, 0.0], []],
        [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]],
    ],
    ids=["too-few", "lengths", "infinite", "null", "garbage", "empty", "too-many"],
)
async def test_missing_or_unequal_vectors_are_refused(upstream, entry, caller, data, record):
    upstream.script(entry.model, vectors(*data))
    with pytest.raises(UpstreamFailed):
        await file_backends.embed(caller, "embedder", ["a", "b"], query=False, within=SOON)
    row = await record()
    assert row.status == 502


async def test_a_provider_that_changes_its_vectors_between_requests_is_refused(upstream, entry, caller):
    upstream.script(entry.model, vectors(*[[1.0, 0.0]] * file_backends.MAX_TEXTS), vectors([1.0]))
    with pytest.raises(UpstreamFailed):
        await file_backends.embed(
            caller, "embedder", ["a"] * (file_backends.MAX_TEXTS + 1), query=False, within=SOON
        )


async def test_unreported_tokens_are_estimated(upstream, entry, caller, record):
    upstream.script(entry.model, vectors([1.0], usage=None))
    await file_backends.embed(caller, "embedder", ["a few words of text"], query=False, within=SOON)
    row = await record()
    assert row.estimated
    assert row.input_tokens > 0


@pytest.mark.parametrize(
    ("play", "kind", "status"),
    [
        (answers.answer(answers.error_body(), 429), RateLimited, 429),
        (answers.answer(answers.error_body(code="context_length_exceeded"), 400), ContextLengthExceeded, 400),
        (answers.closed(), UpstreamFailed, 502),
    ],
    ids=["busy", "too-long", "away"],
)
async def test_provider_error_is_raised_and_recorded(upstream, entry, caller, record, play, kind, status):
    upstream.script(entry.model, play)
    with pytest.raises(kind):
        await file_backends.embed(caller, "embedder", ["a"], query=False, within=SOON)
    row = await record()
    assert row.status == status


async def test_search_falls_back_to_full_text_when_embedding_times_out(
    upstream, entry, world, caller, record, settings, caplog
):
    def fill():
        made = factories.dataset(world.tenant, embedding="embedder")
        factories.chunk(factories.dataset_file(made, chunk_count=1), "A cat.", vector=[1.0, 0.0])
        return made.pk

    async def silent(wire: Wire) -> None:
        await wire.hold()

    upstream.script(entry.model, silent)
    settings.SEARCH_EMBEDDING_SECONDS = 0.2
    found = await search(caller, [await in_thread(fill)], "cat")
    assert [passage.text for passage in found] == ["A cat."]
    assert "searched without vectors of embedder: 504 upstream_timeout" in caplog.text
    row = await record()
    assert (row.route, row.status, row.error_code) == ("/embeddings", 504, "upstream_timeout")
    assert (row.request_id, row.model) == ("req_of_the_caller", "embedder")


async def test_model_without_embeddings_is_a_permanent_error(world, entry, caller, upstream):
    other = await in_thread(factories.tenant)
    stranger = Caller(other.pk, 0, "req_x")
    for who, name, kind in (
        (caller, "nobody", ModelNotFound),
        (caller, "support", ModelNotFound),
        (caller, "fast", BadRequest),
        (stranger, "embedder", ModelNotFound),
    ):
        with pytest.raises(kind) as raised:
            await file_backends.embed(who, name, ["a"], query=False, within=SOON)
        assert 400 <= raised.value.status < 500
    assert upstream.received(entry.model) == []


async def test_an_operators_call_is_recorded_without_a_key(upstream, entry, world, record):
    upstream.script(entry.model, vectors([1.0]))
    await file_backends.embed(Caller(world.tenant.pk, NO_KEY, ""), "embedder", ["a"], query=True, within=SOON)
    row = await record()
    assert row.key_id == NO_KEY


# Recordings


def transcript(text, *starts, **more):
    segments = [{"id": at, "start": start, "text": f" {said}"} for at, (start, said) in enumerate(starts)]
    return answers.answer({"text": text, "segments": segments, "duration": 9.5, **more})


@pytest.fixture
def recording_file(tmp_path):
    path = tmp_path / "upload"
    path.write_bytes(b"RIFF....")
    return path


async def test_recording_is_transcribed_in_segments(upstream, listener, caller, recording_file, record):
    upstream.script(listener.model, transcript("One. Two.", (0.0, "One."), (4.5, "Two.")))
    said = await transcriber()(caller, "listener", recording_file, "secret name.wav", "audio/wav")
    assert said == [RecordingSegment("One.", 0.0), RecordingSegment("Two.", 4.5)]
    received = upstream.last(listener.model)
    assert received.fields("response_format") == ["verbose_json"]
    (file,) = [part for part in received.form if part.filename is not None]
    assert (file.filename, file.content_type, file.data) == ("file.wav", "audio/wav", b"RIFF....")
    row = await record()
    assert (row.route, row.model, row.audio_ms) == ("/audio/transcriptions", "listener", 9500)


async def test_model_without_segments_is_asked_for_text(upstream, listener, caller, recording_file, record):
    refused = answers.answer(answers.error_body(param="response_format"), 400)
    upstream.script(listener.model, refused, answers.answer({"text": " All of it. "}))
    said = await file_backends.transcribe(caller, "", recording_file, "a.wav", "audio/wav")
    assert said == [RecordingSegment("All of it.", 0.0)]
    row = await record()
    assert (row.model, row.status) == ("listener", 200)


@pytest.mark.parametrize("segments", [None, [], [{"start": 0}], [{"text": "One.", "start": 0}], "garbage"])
async def test_incomplete_segments_are_not_used(upstream, listener, caller, recording_file, segments):
    upstream.script(listener.model, answers.answer({"text": "One. Two. Three.", "segments": segments}))
    said = await file_backends.transcribe(caller, "", recording_file, "a.wav", "audio/wav")
    assert said == [RecordingSegment("One. Two. Three.", 0.0)]


async def test_silence_has_no_segments(upstream, listener, caller, recording_file):
    upstream.script(listener.model, answers.answer({"text": "", "segments": []}))
    assert await file_backends.transcribe(caller, "", recording_file, "a.wav", "audio/wav") == []


async def test_a_recording_that_is_refused_twice_is_refused(upstream, listener, caller, recording_file):
    upstream.script(listener.model, answers.answer(answers.error_body(), 400))
    with pytest.raises(BadRequest):
        await file_backends.transcribe(caller, "", recording_file, "a.wav", "audio/wav")
    assert len(upstream.received(listener.model)) == 2


async def test_busy_provider_is_called_once(upstream, listener, caller, recording_file):
    upstream.script(listener.model, answers.answer(answers.error_body(), 503))
    with pytest.raises(APIError) as raised:
        await file_backends.transcribe(caller, "", recording_file, "a.wav", "audio/wav")
    assert raised.value.status >= 500
    assert len(upstream.received(listener.model)) == 1


async def test_without_a_name_exactly_one_transcription_model_is_required(world, caller, recording_file):
    with pytest.raises(BadRequest, match="no model"):
        await file_backends.transcribe(caller, "", recording_file, "a.wav", "audio/wav")
    for name in ("one", "two"):
        await in_thread(partial(factories.catalog, world.provider, name, capabilities=["transcribe"]))
    with pytest.raises(BadRequest, match="more than one"):
        await file_backends.transcribe(caller, "", recording_file, "a.wav", "audio/wav")


def test_unit_vectors_have_length_one():
    assert hypot(*file_backends._unit([1e30, 1e30])) == pytest.approx(1)
