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
def die_with_worker(**_: object) -> None:
    """End the pool's processes if their worker is killed. Otherwise tasks could run twice."""
    die_with_parent()
