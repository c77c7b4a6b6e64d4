"""Processes one dataset file: reads its bytes, extracts text, splits it into chunks, embeds and stores them."""

import asyncio
import logging
import threading
from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from django.db import DatabaseError

from files.backends import Caller, RecordingSegment, transcriber
from files.chunking import TextChunk, split
from files.extraction import Extracted, ExtractionError, NeedsOCR, Section, extract, kind
from files.ingestion import claims, embedding
from files.ingestion.claims import Claim, LeaseLost
from files.ingestion.commit import GenerationChanged, store
from files.ingestion.errors import PermanentError, TransientError
from files.ingestion.local_copy import in_own_thread, local_path
from files.ingestion.wakeup import OCR_QUEUE, wake
from files.models import Dataset, DatasetFile
from gtapi.database import DATABASE_UNAVAILABLE, in_thread, storable
from gtapi.errors import APIError
from tenants.models import NO_KEY

logger = logging.getLogger(__name__)

Stage = DatasetFile.Stage
#: Progress in percent at the start of each stage; embedding moves from its own to the next.
EXTRACTING_PROGRESS, CHUNKING_PROGRESS, EMBEDDING_PROGRESS, STORING_PROGRESS = 5, 30, 35, 95
#: Times that a file is embedded again at once because its dataset changed its vector generation meanwhile.
MAX_GENERATION_CHANGES = 3
#: Seconds of a recording in one section.
RECORDING_SECTION_SECONDS = 120.0
#: Seconds that a file waits after a failure of the database.
DATABASE_WAIT = 5.0
#: Seconds between attempts to store finished chunks.
STORE_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)

OnExtracted = Callable[[], None]


async def process(claim: Claim, on_extracted: OnExtracted) -> None:
    """Process a file until it is ready or failed, or return it to a queue.

    ``on_extracted`` is called when the file needs no more processor time: its chunks only have to be embedded, or a
    model transcribes it. Raises only CancelledError, when the worker stops or the lease is lost.
    """
    try:
        await _Pipeline(claim, on_extracted).run()
    except LeaseLost:
        logger.info("The lease of file %s was lost.", claim.dataset_file_id)
    except NeedsOCR:
        logger.info("File %s needs OCR.", claim.dataset_file_id)
        await _write(claims.hand_to_ocr, claim)
        wake(OCR_QUEUE)
    except TransientError as error:
        logger.info("File %s will be retried: %s.", claim.dataset_file_id, error.code)
        await _write(claims.retry_later, claim, error)
    except PermanentError as error:
        await _write(claims.fail, claim, error)
    except asyncio.CancelledError:
        await _write(claims.release, claim)
        raise
    except DATABASE_UNAVAILABLE as error:
        logger.warning("File %s will be retried: %s.", claim.dataset_file_id, type(error).__name__)
        await _write(claims.release, claim, DATABASE_WAIT)
    except DatabaseError as error:
        # Not the database's message, which would quote the document.
        logger.error("File %s could not be stored: %s.", claim.dataset_file_id, type(error).__name__)  # noqa: TRY400
        await _write(claims.retry_later, claim, TransientError("processing_failed"))
    except Exception:
        logger.exception("File %s could not be processed.", claim.dataset_file_id)
        await _write(claims.retry_later, claim, TransientError("processing_failed"))


async def _write(write: Callable[..., None], *args: object) -> None:
    try:
        await asyncio.shield(in_thread(write, *args))
    except DATABASE_UNAVAILABLE as error:
        # The lease will expire.
        logger.warning("The state of a file could not be stored: %s.", type(error).__name__)


class _Pipeline:
    """The steps of one claimed file."""

    def __init__(self, claim: Claim, on_extracted: OnExtracted) -> None:
        self.claim = claim
        self.on_extracted = on_extracted

    async def run(self) -> None:
        dataset_file = await in_thread(self._load)
        caller = Caller(self.claim.tenant_id, dataset_file.requested_by_id or NO_KEY, dataset_file.file_id)
        extracted = await self._extract(dataset_file, caller)
        await self._report(Stage.CHUNKING, CHUNKING_PROGRESS)
        chunks = await in_own_thread(split_sections, extracted.sections, dataset_file)
        self.on_extracted()
        if not chunks:
            raise PermanentError("no_text")
        dataset = dataset_file.dataset
        for _ in range(MAX_GENERATION_CHANGES):
            vectors = await self._embed(caller, dataset, chunks)
            await self._report(Stage.STORING, STORING_PROGRESS)
            try:
                await self._store(dataset, chunks, vectors, extracted.warning)
            except GenerationChanged:
                dataset = await in_thread(self._reload, dataset.pk)
            else:
                return
        raise TransientError("processing_failed")

    def _load(self) -> DatasetFile:
        rows = DatasetFile.objects.select_related("dataset", "file", "tenant")
        dataset_file = rows.filter(pk=self.claim.dataset_file_id, lease=self.claim.lease).first()
        if dataset_file is None:
            raise LeaseLost
        return dataset_file

    def _reload(self, dataset_id: str) -> Dataset:
        dataset = Dataset.objects.filter(pk=dataset_id).first()
        if dataset is None:
            raise LeaseLost
        return dataset

    async def _report(self, stage: str, progress: float) -> None:
        try:
            await in_thread(claims.report, self.claim, stage, int(progress))
        except DATABASE_UNAVAILABLE as error:
            # Progress is not worth throwing away finished work.
            logger.warning(
                "Progress of file %s was not stored: %s.", self.claim.dataset_file_id, type(error).__name__
            )

    async def _extract(self, dataset_file: DatasetFile, caller: Caller) -> Extracted:
        file = dataset_file.file
        description = (file.filename, file.content_type)
        await self._report(Stage.EXTRACTING, 0)
        try:
            async with local_path(file.path) as path:
                if await in_own_thread(kind, path, *description) == "audio":
                    await self._report(Stage.TRANSCRIBING, EXTRACTING_PROGRESS)
                    self.on_extracted()
                    return Extracted(await self._transcribe(dataset_file, caller, path))
                await self._report(Stage.EXTRACTING, EXTRACTING_PROGRESS)
                return await self._extract_document(path, *description)
        except ExtractionError as error:
            error_type = TransientError if error.transient else PermanentError
            raise error_type(error.code, error.message) from error

    async def _extract_document(self, path: Path, filename: str, content_type: str) -> Extracted:
        cancelled = threading.Event()
        try:
            return await in_own_thread(
                extract, path, filename, content_type, ocr=self.claim.ocr, cancelled=cancelled
            )
        finally:
            # Otherwise the extraction process would continue alongside the next one.
            cancelled.set()

    async def _transcribe(self, dataset_file: DatasetFile, caller: Caller, path: Path) -> list[Section]:
        file = dataset_file.file
        entry = dataset_file.tenant.transcription
        try:
            return recording_sections(
                await transcriber()(caller, entry, path, file.filename, file.content_type)
            )
        except APIError as error:
            raise embedding.ingestion_error(error, "transcription") from error

    async def _embed(
        self, caller: Caller, dataset: Dataset, chunks: Sequence[TextChunk]
    ) -> "list[array[float]]":
        if not dataset.indexed_embedding:
            return []

        async def on_progress(share: float) -> None:
            await self._report(
                Stage.EMBEDDING, EMBEDDING_PROGRESS + share * (STORING_PROGRESS - EMBEDDING_PROGRESS)
            )

        await on_progress(0)
        texts = [chunk.text for chunk in chunks]
        return await embedding.embed(caller, dataset.indexed_embedding, texts, on_progress)

    async def _store(
        self, dataset: Dataset, chunks: Sequence[TextChunk], vectors: "list[array[float]]", warning: str
    ) -> None:
        for pause in (*STORE_PAUSES, None):
            try:
                await in_thread(store, self.claim, dataset, chunks, vectors, warning)
            except DATABASE_UNAVAILABLE as error:
                if pause is None:
                    raise
                # The embeddings have been paid for.
                logger.warning(
                    "File %s is not stored yet: %s.", self.claim.dataset_file_id, type(error).__name__
                )
                await asyncio.sleep(pause)
            else:
                return


def split_sections(sections: Sequence[Section], dataset_file: DatasetFile) -> list[TextChunk]:
    """Return the storable chunks of a file's text, of the size that its upload asked for."""
    clean = [replace(part, text=storable(part.text), heading=storable(part.heading)) for part in sections]
    return split(clean, **chunk_sizes(dataset_file.chunking))


def chunk_sizes(chunking: object) -> dict[str, int]:
    """Return size and overlap from OpenAI's ``chunking_strategy``; empty if it leaves them to the gateway."""
    static = chunking.get("static") if isinstance(chunking, dict) else None
    if not isinstance(static, dict):
        return {}
    return {"size": static["max_chunk_size_tokens"], "overlap": static["chunk_overlap_tokens"]}


def recording_sections(segments: Sequence[RecordingSegment]) -> list[Section]:
    """Group a transcript into sections of about two minutes, each with its start time as heading."""
    sections: list[Section] = []
    start = 0.0
    texts: list[str] = []
    for segment in segments:
        if texts and segment.start - start >= RECORDING_SECTION_SECONDS:
            sections.append(Section(" ".join(texts), heading=_clock(start)))
            texts = []
        if not texts:
            start = segment.start
        texts.append(segment.text)
    if texts:
        sections.append(Section(" ".join(texts), heading=_clock(start)))
    return sections


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
