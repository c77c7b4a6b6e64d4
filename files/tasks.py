"""What Celery runs for files. No task has an argument: the rows say what is left to do."""

import logging

from celery import shared_task

from files import sweeps
from files.ingestion import run
from files.ingestion.claims import AWAY
from gtapi import folders, forms

logger = logging.getLogger(__name__)


# It is taken off the queue when it begins: a message is but a wake-up, and beat sends the next one in two seconds.
# What a worker that is killed had in its hands comes back by its lease, and no connection that breaks ends a task.
@shared_task(acks_late=False)
def ingest() -> None:
    """Work on the files that wait, and on datasets that want another index."""
    try:
        run.run()
    except AWAY as error:
        logger.warning("files are not processed: %s", type(error).__name__)


@shared_task
def sweep_uploads() -> None:
    """Remove what broken-off uploads have left in storage, in the tables and in this machine's temporary folder."""
    folders.sweep(forms.PREFIX)
    try:
        sweeps.sweep()
    except AWAY as error:
        logger.warning("uploads are not swept: %s", type(error).__name__)
