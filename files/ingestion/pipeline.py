"""The steps of one file: bytes, text, pieces, vectors, rows."""

import asyncio
import logging
import threading
from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from django.db import DatabaseError

from files.backends import Caller, Spoken, transcriber
from files.chunking import Piece, pieces
from files.extraction import Extracted, ExtractionError, Interrupted, Section, extract, kind
from files.ingestion import claims, embedding
from files.ingestion.claims import AWAY, Claim, Lost
from files.ingestion.commit import Outdated, store
from files.ingestion.errors import PermanentError, TransientError
from files.ingestion.local_copy import fetched, in_own_thread
from files.models import Dataset, DatasetFile
from gtapi.database import in_thread
from gtapi.errors import APIError
from tenants.models import NO_KEY

logger = logging.getLogger(__name__)

Stage = DatasetFile.Stage
#: Progress at the beginning of each stage, in percent; while a file is embedded, it moves from there to the next.
READING, CHUNKING, EMBEDDING, STORING = 5, 30, 35, 95
#: Times that a file is embedded anew since its dataset got another index meanwhile, before it waits again.
INDEXES = 3
#: Seconds of a recording that make one section.
STRETCH = 120.0
#: Seconds that a file waits when it was the database that failed.
DATABASE_WAIT = 5.0
#: Seconds between attempts to store what is ready to be stored.
STORE_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)

Read = Callable[[], None]
MayRecognise = Callable[[], bool]


async def process(claim: Claim, read: Read, may_recognise: MayRecognise) -> None:
    """Bring a file to its end, or give it back; ``read`` is called once its text is out.

    ``may_recognise`` is called by another thread, again and again while letters are recognised, and says whether
    there is room for that.

    Nothing is raised but CancelledError: the worker stops, or the file is not ours any more.
    """
    try:
        await _Work(claim, read, may_recognise).run()
    except Lost:
        logger.info("file %s is in other hands", claim.dataset_file_id)
    except Interrupted:
        logger.info("file %s has to wait until there is room to recognise its letters", claim.dataset_file_id)
        await _note(claims.put_aside, claim)
    except TransientError as error:
        logger.info("file %s has to wait: %s", claim.dataset_file_id, error.code)
        await _note(claims.try_again, claim, error)
    except PermanentError as error:
        await _note(claims.fail, claim, error)
    except asyncio.CancelledError:
        await _note(claims.release, claim)
        raise
    except AWAY as error:
        logger.warning("file %s has to wait: %s", claim.dataset_file_id, type(error).__name__)
        await _note(claims.release, claim, DATABASE_WAIT)
    except DatabaseError as error:
        # The database's own words would quote the document.
        logger.error("file %s could not be stored: %s", claim.dataset_file_id, type(error).__name__)  # noqa: TRY400
        await _note(claims.try_again, claim, TransientError("processing_failed"))
    except Exception:
        logger.exception("file %s could not be processed", claim.dataset_file_id)
        await _note(claims.try_again, claim, TransientError("processing_failed"))


async def _note(write: Callable[..., None], *args: object) -> None:
    try:
        await asyncio.shield(in_thread(write, *args))
    except AWAY as error:
        # The lease runs out by itself.
        logger.warning("the database does not take a file's state: %s", type(error).__name__)


class _Work:
    """One file in one worker's hands."""

    def __init__(self, claim: Claim, read: Read, may_recognise: MayRecognise) -> None:
        self.claim = claim
        self.read = read
        self.may_recognise = may_recognise

    async def run(self) -> None:
        dataset_file = await in_thread(self._load)
        caller = Caller(self.claim.tenant_id, dataset_file.requested_by_id or NO_KEY, dataset_file.file_id)
        found = await self._text(dataset_file, caller)
        await self._report(Stage.CHUNKING, CHUNKING)
        made = await in_own_thread(cut, found.sections, dataset_file)
        self.read()
        if not made:
            raise PermanentError("no_text")
        dataset = dataset_file.dataset
        for _ in range(INDEXES):
            vectors = await self._vectors(caller, dataset, made)
            await self._report(Stage.STORING, STORING)
            try:
                await self._store(dataset, made, vectors, found.warning)
            except Outdated:
                dataset = await in_thread(self._dataset, dataset.pk)
            else:
                return
        raise TransientError("processing_failed")

    async def _store(
        self, dataset: Dataset, made: Sequence[Piece], vectors: "list[array[float]]", warning: str
    ) -> None:
        for pause in (*STORE_PAUSES, None):
            try:
                await in_thread(store, self.claim, dataset, made, vectors, warning)
            except AWAY as error:
                if pause is None:
                    raise
                # What has been embedded has been paid for.
                logger.warning(
                    "file %s is not stored yet: %s", self.claim.dataset_file_id, type(error).__name__
                )
                await asyncio.sleep(pause)
            else:
                return

    def _load(self) -> DatasetFile:
        dataset_files = DatasetFile.objects.select_related("dataset", "file", "tenant")
        dataset_file = dataset_files.filter(pk=self.claim.dataset_file_id, lease=self.claim.lease).first()
        if dataset_file is None:
            raise Lost
        return dataset_file

    def _dataset(self, dataset_id: str) -> Dataset:
        dataset = Dataset.objects.filter(pk=dataset_id).first()
        if dataset is None:
            raise Lost
        return dataset

    async def _report(self, stage: str, progress: float) -> None:
        try:
            await in_thread(claims.report, self.claim, stage, int(progress))
        except AWAY as error:
            # How far it is can wait; what has been made is not thrown away for it.
            logger.warning(
                "progress of file %s is not kept: %s", self.claim.dataset_file_id, type(error).__name__
            )

    async def _text(self, dataset_file: DatasetFile, caller: Caller) -> Extracted:
        file = dataset_file.file
        described = (file.filename, file.content_type)
        await self._report(Stage.EXTRACTING, 0)
        try:
            async with fetched(file.path) as path:
                if await in_own_thread(kind, path, *described) == "audio":
                    await self._report(Stage.TRANSCRIBING, READING)
                    # Somebody else does the work, so the next document can be read meanwhile.
                    self.read()
                    return Extracted(await self._transcribed(dataset_file, caller, path))
                await self._report(Stage.EXTRACTING, READING)
                return await self._extracted(path, *described)
        except ExtractionError as error:
            why = TransientError if error.transient else PermanentError
            raise why(error.code, error.message) from error

    async def _extracted(self, path: Path, filename: str, content_type: str) -> Extracted:
        given_up = threading.Event()

        def goes_on(recognises: bool) -> bool:
            return not given_up.is_set() and (not recognises or self.may_recognise())

        try:
            return await in_own_thread(extract, path, filename, content_type, goes_on)
        finally:
            # The reading process would go on without us, beside the next one.
            given_up.set()

    async def _transcribed(self, dataset_file: DatasetFile, caller: Caller, path: Path) -> list[Section]:
        file = dataset_file.file
        entry = dataset_file.tenant.transcription
        try:
            return stretches(await transcriber()(caller, entry, path, file.filename, file.content_type))
        except APIError as error:
            raise embedding.judge(error, "transcription") from error

    async def _vectors(self, caller: Caller, dataset: Dataset, made: Sequence[Piece]) -> "list[array[float]]":
        if not dataset.indexed_embedding:
            return []

        async def progress(share: float) -> None:
            await self._report(Stage.EMBEDDING, EMBEDDING + share * (STORING - EMBEDDING))

        await progress(0)
        texts = [piece.text for piece in made]
        return await embedding.embed(caller, dataset.indexed_embedding, texts, progress)


def cut(sections: Sequence[Section], dataset_file: DatasetFile) -> list[Piece]:
    """Return the pieces of a file's text, of the size that it was uploaded with, and fit for the database."""
    storable = [replace(part, text=_scrub(part.text), heading=_scrub(part.heading)) for part in sections]
    return pieces(storable, **sizes(dataset_file.chunking))


def _scrub(text: str) -> str:
    # PostgreSQL stores no NUL, and UTF-8 has no half of a surrogate pair.
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


def sizes(chunking: object) -> dict[str, int]:
    """Return size and overlap of OpenAI's ``chunking_strategy``; empty where it leaves them to us."""
    static = chunking.get("static") if isinstance(chunking, dict) else None
    if not isinstance(static, dict):
        return {}
    return {"size": static["max_chunk_size_tokens"], "overlap": static["chunk_overlap_tokens"]}


def stretches(spoken: Sequence[Spoken]) -> list[Section]:
    """Gather what is said into sections of about two minutes, headed by where in the recording they begin."""
    made: list[Section] = []
    began = 0.0
    texts: list[str] = []
    for said in spoken:
        if texts and said.start - began >= STRETCH:
            made.append(Section(" ".join(texts), heading=_clock(began)))
            texts = []
        if not texts:
            began = said.start
        texts.append(said.text)
    if texts:
        made.append(Section(" ".join(texts), heading=_clock(began)))
    return made


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
