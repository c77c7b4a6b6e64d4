"""What Celery's beat sends out for the tenants' tables. No task has an argument: each finds its work by itself."""

import logging
from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from tenants.models import PolicyChange
from tenants.usage import drain, partitions

logger = logging.getLogger(__name__)

#: Every process has read the log of changes long before it is this old.
READ_BY_ALL = timedelta(hours=1)


@shared_task
def drain_usage() -> None:
    """Move the usage records that wait into the table."""
    try:
        drain.drain()
    except drain.AWAY as error:
        logger.warning("usage is not drained: %s", type(error).__name__)


@shared_task
def maintain_partitions() -> None:
    """Make the coming months of the usage table and drop the old ones."""
    try:
        partitions.maintain()
    except drain.AWAY as error:
        logger.warning("the partitions of usage are not maintained: %s", type(error).__name__)


@shared_task
def prune_policy_changes() -> None:
    """Delete lines of the policy's log that every process has read."""
    PolicyChange.objects.filter(created_at__lt=timezone.now() - READ_BY_ALL).delete()
