"""The Celery application: ``celery -A gtapi worker`` and ``celery -A gtapi beat``."""

import os

from celery import Celery
from celery.signals import worker_process_init

from gtapi.stack.process import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gtapi.settings")

app = Celery("gtapi")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
def follow_the_worker(**_: object) -> None:
    """Take the processes of the pool down with a worker that was killed, or its tasks would run beside new ones."""
    die_with_parent()
