"""What the app ``files`` needs of models: the coroutines that ``FILES_EMBEDDER`` and ``FILES_TRANSCRIBER`` name.

They work wherever ``http_client.connected()`` and ``tenants.usage.ledger.recording()`` run: in web
processes, and in workers that open the two around their loop. What an entry stands for is read from the database
each time, since workers keep no snapshots of the policy. Unpublished entries serve, as they do for agents.
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
from typing import Any

from files.backends import Caller, Spoken
from gtapi.database import in_thread
from gtapi.errors import BadRequest, ModelNotFound, UpstreamFailed, UpstreamTimeout, translate
from gtapi.ids import uuid7
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

JSON = dict[str, Any]

#: What one request to a provider holds at most; servers have limits on the tokens of all texts together.
MAX_TEXTS = 64
MAX_CHARACTERS = 200_000


@dataclass(frozen=True, slots=True)
class _Model:
    target: Target
    connection: ProviderConnection
    adapter: Adapter
    entry: ledger.UsageEvent


async def embed(
    caller: Caller, name: str, texts: Sequence[str], *, query: bool, within: float
) -> list[list[float]]:
    """Return one vector of length 1 for each text, in their order and of one dimension.

    See ``files.backends.Embedder``.

    Raises:
        APIError: as there; ``UpstreamFailed`` where the provider's vectors are not one of a kind for each text.
    """
    if not texts:
        return []
    vectors: list[list[float]] = []
    async with _metered(caller, name, ENDPOINTS["embeddings"]) as model, _answered(within):
        side = model.target.query_side if query else model.target.passage_side
        for batch in _batches([side.prefix + text for text in texts]):
            vectors += await _embed(model, batch, side.input_type)
        if len({len(vector) for vector in vectors}) != 1:
            raise UpstreamFailed(detail=f"{model.connection.name}: vectors of several lengths")
    return [_unit(vector) for vector in vectors]


def _unit(vector: list[float]) -> list[float]:
    """Return a vector of length 1, whose numbers are in the range of 16 bits; nothing stays nothing."""
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
    answer = await model.adapter.fetch_json(model.connection, "embeddings", body, {"input"})
    built = embeddings(answer, model.target.name, base64=False)
    if built is None or len(built["data"]) != len(texts):
        raise UpstreamFailed(detail=f"{model.connection.name}: not one embedding for each input")
    used = built.get("usage") or await estimate(model.entry, lambda: (tokens.estimate_input(texts), 0))
    model.entry.input_tokens += used["prompt_tokens"]
    return [item["embedding"] for item in built["data"]]


async def scale(tenant_id: int, name: str) -> tuple[float, float]:
    """Return the similarities that an entry's vectors have where nothing fits and where all does.

    See ``files.backends.Scale``; an entry that is gone has those of cosines.
    """

    def read() -> tuple[float, float] | None:
        entries = CatalogEntry.objects.filter(tenant=tenant_id, name=name)
        return entries.values_list("unrelated_similarity", "related_similarity").first()

    return await in_thread(read) or (0.0, 1.0)


async def transcribe(caller: Caller, name: str, path: Path, filename: str, content_type: str) -> list[Spoken]:
    """Return what is said in a recording, by stretches where the provider tells them apart.

    See ``files.backends.Transcriber``.
    """
    async with _metered(caller, name, ENDPOINTS["transcriptions"]) as model:
        file = anonymous_upload("file", filename, content_type, path)
        answer = await _transcript(model, Form([], [file]))
        await meter_audio(model.entry, answer, partial(audio_duration.length_ms, path))
    return _stretches(answer)


async def _transcript(model: _Model, form: Form) -> JSON:
    """Ask for stretches, and where the model knows no such format, for the text alone."""

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


def _stretches(answer: JSON) -> list[Spoken]:
    given = answer.get("segments")
    said = [
        (segment["text"].strip(), seconds(segment.get("start")))
        for segment in (given if isinstance(given, list) else ())
        if isinstance(segment, dict) and isinstance(segment.get("text"), str)
    ]
    # A list of segments that says less than the whole text would lose the rest.
    if len("".join(text for text, _ in said)) < len("".join(answer["text"].split())) * 0.9:
        said = [(answer["text"].strip(), 0.0)]
    return [Spoken(text, start) for text, start in said if text]


@asynccontextmanager
async def _metered(caller: Caller, name: str, endpoint: Endpoint) -> AsyncIterator[_Model]:
    """Give the model that ``name`` stands for, and record the call, however it ends."""
    began, identity = perf_counter(), uuid7()
    entry = ledger.UsageEvent(
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
            raise RuntimeError(f"{target.name} leads nowhere")
        entry.model = target.name
        entry.provider, entry.raw_model = target.connection.name, target.raw_model
        yield _Model(target, target.connection, ADAPTERS[target.connection.kind], entry)
    except asyncio.CancelledError:
        entry.status, entry.error_code = 499, "client_closed_request"
        raise
    except Exception as error:
        problem = translate(error)
        entry.status, entry.error_code = problem.status, problem.code or ""
        entry.error_detail = problem.detail
        raise
    finally:
        entry.latency_ms = int((perf_counter() - began) * 1000)
        await asyncio.shield(asyncio.ensure_future(ledger.record(entry)))


@asynccontextmanager
async def _answered(within: float) -> AsyncIterator[None]:
    """Give what is awaited so many seconds, and tell their end from a client that leaves."""
    try:
        async with asyncio.timeout(within):
            yield
    except TimeoutError:
        raise UpstreamTimeout(detail=f"not there within {within:g} s") from None


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
