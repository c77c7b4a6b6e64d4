"""What the workers do for this app."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from inference import images
from inference.models import Explanation


@shared_task
def remove_expired_images() -> None:
    """Remove made images that nobody can fetch any more."""
    images.remove_expired()


@shared_task
def prune_explanations() -> None:
    """Delete what answers were made from, once that is older than it is kept."""
    if settings.EXPLANATION_RETENTION_DAYS:
        oldest = timezone.now() - timedelta(days=settings.EXPLANATION_RETENTION_DAYS)
        Explanation.objects.filter(created_at__lt=oldest).delete()
