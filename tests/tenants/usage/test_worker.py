"""Celery's worker and beat drain by themselves, with the settings of production."""

from tests.tenants.usage.conftest import stored
from tests.tenants.usage.processes import Process, fields
from tests.waiting import eventually


def test_the_worker_drains_what_a_process_records(worker):
    with Process("record", {}) as recorder:
        ids = recorder.record(*(fields() for _ in range(20)))
        eventually(lambda: stored(ids) == 20)
        later = recorder.record(fields())
    eventually(lambda: stored(later) == 1)
