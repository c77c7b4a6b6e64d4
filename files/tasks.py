"""What Celery runs for files. No task has an argument: the rows say what is left to do."""

import logging
import threading

from celery import shared_task
from django.db import connection

from files.ingestion import runner
from files.ingestion.claims import AWAY
from files.search import indexes
from files.uploads import cleanup
from gtapi import tempdirs
from gtapi.web import multipart

logger = logging.getLogger(__name__)


# It is taken off the queue when it begins: a message is but a wake-up, and beat sends the next one in two seconds.
# What a worker that is killed had in its hands comes back by its lease, and no connection that breaks ends a task.
@shared_task(acks_late=False)
def ingest() -> None:
    """Work on the files that wait, and on datasets that want another index."""
    try:
        runner.run()
    except AWAY as error:
        logger.warning("files are not processed: %s", type(error).__name__)


@shared_task
def sweep_uploads() -> None:
    """Remove what broken-off uploads have left in storage, in the tables and in this machine's temporary folder."""
    tempdirs.remove_abandoned(multipart.PREFIX)
    try:
        cleanup.clean_up()
    except AWAY as error:
        logger.warning("uploads are not swept: %s", type(error).__name__)


_indexing = threading.Lock()


@shared_task
def index_vectors() -> None:
    """Make indexes of vectors that are missing, in a thread: it may take minutes, and other tasks are short."""
    threading.Thread(target=_index_vectors, name="index", daemon=True).start()


def _index_vectors() -> None:
    if not _indexing.acquire(blocking=False):
        return
    try:
        indexes.make_missing()
    except AWAY as error:
        logger.warning("vectors are not indexed: %s", type(error).__name__)
    finally:
        _indexing.release()
        connection.close()
