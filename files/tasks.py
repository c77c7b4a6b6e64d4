"""Celery tasks of files. They have no arguments: the rows in the database say what is to be done."""

import logging
import threading

from celery import shared_task
from django.db import connection

from files.ingestion import claims, runner
from files.ingestion.wakeup import OCR_QUEUE, publish
from files.models import DatasetFile
from files.search import indexes
from files.uploads import cleanup
from gtapi import tempdirs
from gtapi.database import DATABASE_UNAVAILABLE
from gtapi.web import multipart

logger = logging.getLogger(__name__)


# Acknowledged early: a message is only a wake-up, and beat sends the next one within two seconds. Files of a killed
# worker become free when their leases expire, and a lost connection to the broker does not end the task.
@shared_task(acks_late=False)
def ingest() -> None:
    """Process the files in the queue `ingest`, and reindex datasets."""
    _run(ocr=False)


@shared_task(acks_late=False)
def ocr() -> None:
    """Process the files that need OCR."""
    _run(ocr=True)


def _run(*, ocr: bool) -> None:
    try:
        runner.run(ocr=ocr)
    except DATABASE_UNAVAILABLE as error:
        logger.warning("Files cannot be processed: %s.", type(error).__name__)


@shared_task
def wake_ocr() -> None:
    """Wake the queue `ocr` if a file is due there. Beat does not send to it directly: it may have no worker."""
    try:
        if claims.is_due(ocr=True):
            publish(OCR_QUEUE)
    except DATABASE_UNAVAILABLE as error:
        logger.warning("Files that need OCR cannot be found: %s.", type(error).__name__)


@shared_task
def check_ocr_worker() -> None:
    """Log a warning if files wait for OCR and no worker processes them."""
    try:
        files = DatasetFile.objects.stuck_before_ocr().count()
    except DATABASE_UNAVAILABLE:
        return
    if files:
        logger.warning(
            "%d files wait for OCR and no worker processes them. Is a worker for `ocr` running?", files
        )


@shared_task
def sweep_uploads() -> None:
    """Remove what interrupted uploads left in storage, in the tables and in this machine's temporary folder."""
    tempdirs.remove_abandoned(multipart.PREFIX)
    try:
        cleanup.clean_up()
    except DATABASE_UNAVAILABLE as error:
        logger.warning("Uploads cannot be cleaned up: %s.", type(error).__name__)


_indexing = threading.Lock()


@shared_task
def index_vectors() -> None:
    """Create missing indexes of vectors, in a thread: that may take minutes, and other tasks must not wait."""
    threading.Thread(target=_index_vectors, name="index", daemon=True).start()


def _index_vectors() -> None:
    if not _indexing.acquire(blocking=False):
        return
    try:
        indexes.make_missing()
    except DATABASE_UNAVAILABLE as error:
        logger.warning("Vector indexes cannot be created: %s.", type(error).__name__)
    finally:
        _indexing.release()
        connection.close()
