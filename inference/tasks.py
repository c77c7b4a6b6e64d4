"""What the workers do for this app."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from inference import image_storage
from inference.models import Explanation, Turn
from inference.models.providers import LONGEST_TIMEOUT

#: How long a turn may wait for its answer: longer than any provider is given, and an hour for all else.
LONGEST_TURN = timedelta(seconds=LONGEST_TIMEOUT, hours=1)


@shared_task
def remove_expired_images() -> None:
    """Remove made images that nobody can fetch any more."""
    image_storage.remove_expired()


@shared_task
def prune_explanations() -> None:
    """Delete what answers were made from, once that is older than it is kept."""
    if settings.EXPLANATION_RETENTION_DAYS:
        oldest = timezone.now() - timedelta(days=settings.EXPLANATION_RETENTION_DAYS)
        Explanation.objects.filter(created_at__lt=oldest).delete()


@shared_task
def end_lost_turns() -> None:
    """End the turns whose gateway went away while it answered them."""
    now = timezone.now()
    lost = Turn.objects.filter(state=Turn.State.PENDING, created_at__lt=now - LONGEST_TURN)
    lost.update(state=Turn.State.FAILED, ended_at=now)
