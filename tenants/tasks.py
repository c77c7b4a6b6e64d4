"""Periodic Celery tasks of the tenants app. They take no arguments and find their work in the database or Redis."""

import logging
from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from tenants.models import PolicyChange
from tenants.usage import drain, partitions

logger = logging.getLogger(__name__)

#: Every process has read a policy change long before it is this old.
MAX_AGE = timedelta(hours=1)


@shared_task
def drain_usage() -> None:
    """Move waiting usage events into the database."""
    try:
        drain.drain()
    except drain.UNAVAILABLE as error:
        logger.warning("Usage events were not drained: %s", type(error).__name__)


@shared_task
def maintain_partitions() -> None:
    """Create the coming monthly partitions of the usage table and drop expired ones."""
    try:
        partitions.maintain()
    except drain.UNAVAILABLE as error:
        logger.warning("The partitions of the usage table were not maintained: %s", type(error).__name__)


@shared_task
def prune_policy_changes() -> None:
    """Delete policy changes that every process has read."""
    PolicyChange.objects.filter(created_at__lt=timezone.now() - MAX_AGE).delete()
