"""Celery's worker and beat drain usage events with the production settings."""

from tests.tenants.usage.conftest import stored
from tests.tenants.usage.processes import Process, event_values
from tests.waiting import eventually


def test_worker_drains_recorded_events(worker):
    with Process("record", {}) as recorder:
        ids = recorder.record(*(event_values() for _ in range(20)))
        eventually(lambda: stored(ids) == 20)
        later = recorder.record(event_values())
    eventually(lambda: stored(later) == 1)
