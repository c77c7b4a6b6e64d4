"""Embedding and transcription for the app ``files``: implements the interfaces of ``files.backends``.

They work wherever ``http_client.connected()`` and ``tenants.usage.ledger.recording()`` run: in web
processes, and in workers of `ingest` and `ocr`. Catalog entries are read from the database each time, since workers
have no policy snapshots. Unpublished entries may be used, as by agents.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import hypot
from pathlib import Path
from time import perf_counter

from files.backends import Caller, RecordingSegment
from gtapi.database import in_thread
from gtapi.errors import BadRequest, ModelNotFound, UpstreamFailed, UpstreamTimeout, translate
from gtapi.ids import uuid7
from gtapi.json_types import JSON
from inference import audio_duration, tokens
from inference.endpoints import ENDPOINTS, Endpoint
from inference.endpoints.embeddings.schema import embeddings
from inference.endpoints.transcriptions.schema import seconds
from inference.metering import estimate, meter_audio
from inference.models import CatalogEntry
from inference.provider_request import anonymous_upload
from inference.providers import ADAPTERS
from inference.providers.base import Adapter, Form, ProviderConnection
from inference.routing import Target, entry_target
from tenants.usage import ledger

#: Texts and characters in one request to a provider: servers limit the total number of tokens.
MAX_TEXTS = 64
MAX_CHARACTERS = 200_000


@dataclass(frozen=True, slots=True)
class _Model:
    target: Target
    connection: ProviderConnection
    adapter: Adapter
    usage: ledger.UsageEvent


async def embed(
    caller: Caller, name: str, texts: Sequence[str], *, query: bool, within: float
) -> list[list[float]]:
    """Return a unit vector for each text, in order, all with the same number of dimensions.

    See ``files.backends.Embedder``.

    Raises:
        APIError: as there; ``UpstreamFailed`` if the provider does not return such a vector for each text.
    """
    if not texts:
        return []
    vectors: list[list[float]] = []
    async with _metered(caller, name, ENDPOINTS["embeddings"]) as model, _time_limit(within):
        mode = model.target.query_mode if query else model.target.passage_mode
        for batch in _batches([mode.prefix + text for text in texts]):
            vectors += await _embed(model, batch, mode.input_type)
        if len({len(vector) for vector in vectors}) != 1:
            raise UpstreamFailed(detail=f"{model.connection.name}: vectors with different dimensions")
    return [_unit(vector) for vector in vectors]


def _unit(vector: list[float]) -> list[float]:
    """Return a vector scaled to length 1, so that 16-bit floats can hold it; zero vectors stay zero."""
    length = hypot(*vector)
    return [number / length for number in vector] if length else vector


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and (len(batch) == MAX_TEXTS or size + len(text) > MAX_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    yield batch


async def _embed(model: _Model, texts: list[str], input_type: str) -> list[list[float]]:
    body: JSON = {"model": model.target.raw_model, "input": texts, "encoding_format": "float"}
    if input_type:
        body["input_type"] = input_type
    response = await model.adapter.fetch_json(model.connection, "embeddings", body, {"input"})
    built = embeddings(response, model.target.name, base64=False)
    if built is None or len(built["data"]) != len(texts):
        raise UpstreamFailed(
            detail=f"{model.connection.name}: the number of embeddings differs from that of inputs"
        )
    usage = built.get("usage") or await estimate(model.usage, lambda: (tokens.estimate_input(texts), 0))
    model.usage.input_tokens += usage["prompt_tokens"]
    return [item["embedding"] for item in built["data"]]


async def scale(tenant_id: int, name: str) -> tuple[float, float]:
    """Return the range of similarities between an entry's vectors; see ``files.backends.Scale``.

    For an entry that does not exist it is 0 to 1.
    """

    def read() -> tuple[float, float] | None:
        entries = CatalogEntry.objects.filter(tenant=tenant_id, name=name)
        return entries.values_list("unrelated_similarity", "related_similarity").first()

    return await in_thread(read) or (0.0, 1.0)


async def transcribe(
    caller: Caller, name: str, path: Path, filename: str, content_type: str
) -> list[RecordingSegment]:
    """Return the transcript of a recording, in segments if the provider returns them.

    See ``files.backends.Transcriber``.
    """
    async with _metered(caller, name, ENDPOINTS["transcriptions"]) as model:
        file = anonymous_upload("file", filename, content_type, path)
        response = await _transcript(model, Form([], [file]))
        await meter_audio(model.usage, response, partial(audio_duration.length_ms, path))
    return _segments(response)


async def _transcript(model: _Model, form: Form) -> JSON:
    """Request segments, and if the model does not support that format, the text alone."""

    async def ask(response_format: str) -> JSON:
        fields = [("model", model.target.raw_model), ("response_format", response_format)]
        sent = Form(fields, form.files)
        return await model.adapter.fetch_json(model.connection, "transcriptions", sent, {"response_format"})

    try:
        return await ask("verbose_json")
    except BadRequest as error:
        if error.code != BadRequest.code:
            raise
    return await ask("json")


def _segments(response: JSON) -> list[RecordingSegment]:
    segments = response.get("segments")
    texts = [
        (segment["text"].strip(), seconds(segment.get("start")))
        for segment in (segments if isinstance(segments, list) else ())
        if isinstance(segment, dict) and isinstance(segment.get("text"), str)
    ]
    # Incomplete segments would lose text.
    if len("".join(text for text, _ in texts)) < len("".join(response["text"].split())) * 0.9:
        texts = [(response["text"].strip(), 0.0)]
    return [RecordingSegment(text, start) for text, start in texts if text]


@asynccontextmanager
async def _metered(caller: Caller, name: str, endpoint: Endpoint) -> AsyncIterator[_Model]:
    """Yield the model of the entry ``name``, and record the usage of the call, whether it succeeds or fails."""
    started_at, identity = perf_counter(), uuid7()
    usage = ledger.UsageEvent(
        id=identity,
        created_at=(identity.int >> 80) / 1000,
        tenant_id=caller.tenant_id,
        key_id=caller.key_id,
        request_id=caller.request_id,
        route=endpoint.path,
        model=name,
    )
    try:
        target = await in_thread(_find, caller.tenant_id, name, endpoint)
        if target.connection is None:
            raise RuntimeError(f"{target.name} has no provider")
        usage.model = target.name
        usage.provider, usage.raw_model = target.connection.name, target.raw_model
        yield _Model(target, target.connection, ADAPTERS[target.connection.kind], usage)
    except asyncio.CancelledError:
        usage.status, usage.error_code = 499, "client_closed_request"
        raise
    except Exception as error:
        problem = translate(error)
        usage.status, usage.error_code = problem.status, problem.code or ""
        usage.error_detail = problem.detail
        raise
    finally:
        usage.latency_ms = int((perf_counter() - started_at) * 1000)
        await asyncio.shield(asyncio.ensure_future(ledger.record(usage)))


@asynccontextmanager
async def _time_limit(within: float) -> AsyncIterator[None]:
    """Raise UpstreamTimeout after so many seconds."""
    try:
        async with asyncio.timeout(within):
            yield
    except TimeoutError:
        raise UpstreamTimeout(detail=f"no response within {within:g} s") from None


def _find(tenant_id: int, name: str, endpoint: Endpoint) -> Target:
    """Return a tenant's catalog entry; without a name, the only one that serves the endpoint."""
    entries = CatalogEntry.objects.filter(tenant=tenant_id).select_related("provider")
    if name:
        entry = entries.filter(name=name).first()
        if entry is None:
            raise ModelNotFound(name)
        target = entry_target(entry)
        if not target.serves(endpoint):
            raise BadRequest(
                f"The model '{name}' does not support {endpoint.path}.", code="unsupported_model"
            )
        return target
    targets = map(entry_target, entries.filter(capabilities__contains=[endpoint.capability]))
    serving = list(islice((target for target in targets if target.serves(endpoint)), 2))
    if len(serving) != 1:
        number = "more than one model" if serving else "no model"
        raise BadRequest(f"There is {number} that supports {endpoint.path}.", code="unsupported_model")
    return serving[0]
