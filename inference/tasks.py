"""What the workers do for this app."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from inference import image_storage
from inference.models import Explanation, Turn
from inference.models.providers import LONGEST_TIMEOUT

#: Longest time until a turn ends: the longest provider timeout, and an hour for everything else.
LONGEST_TURN = timedelta(seconds=LONGEST_TIMEOUT, hours=1)


@shared_task
def remove_expired_images() -> None:
    """Delete generated images whose URLs have expired."""
    image_storage.remove_expired()


@shared_task
def prune_explanations() -> None:
    """Delete explanations that are older than the retention period."""
    if settings.EXPLANATION_RETENTION_DAYS:
        oldest = timezone.now() - timedelta(days=settings.EXPLANATION_RETENTION_DAYS)
        Explanation.objects.filter(created_at__lt=oldest).delete()


@shared_task
def end_lost_turns() -> None:
    """Mark turns as failed whose gateway process stopped before the response was complete."""
    now = timezone.now()
    lost = Turn.objects.filter(state=Turn.State.PENDING, created_at__lt=now - LONGEST_TURN)
    lost.update(state=Turn.State.FAILED, ended_at=now)
