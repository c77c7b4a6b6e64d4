"""What the workers do for this app."""

from celery import shared_task

from inference import images


@shared_task
def remove_expired_images() -> None:
    """Remove made images that nobody can fetch any more."""
    images.remove_expired()
