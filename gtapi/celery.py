"""The Celery application: ``celery -A gtapi worker`` and ``celery -A gtapi beat``."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gtapi.settings")

app = Celery("gtapi")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
