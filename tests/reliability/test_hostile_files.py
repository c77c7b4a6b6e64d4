"""Forty-two hostile files, one after the other, through real workers, each followed by an ordinary file."""

import statistics
from pathlib import Path
from time import monotonic

import pytest

from files.ingestion.wakeup import wake
from files.models import DatasetFile
from tests import factories
from tests.files import hostile_files
from tests.files.ingestion.helpers import TERMINAL, state
from tests.waiting import eventually

pytestmark = pytest.mark.slow

MOST_SECONDS = 180
MOST_MEMORY = 1024**3


def timed(dataset_file: DatasetFile) -> tuple[DatasetFile, float]:
    """The row of a file that has come to its end, and how many seconds that took."""
    start = monotonic()
    wake()
    eventually(lambda: state(dataset_file).state in TERMINAL, MOST_SECONDS)
    return state(dataset_file), monotonic() - start


def memory(pid: int) -> int:
    """The most bytes that a process has had in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def test_forty_two_hostile_files_end_and_delay_no_other_file(workers, ocr_worker, record):
    workers = [*workers, ocr_worker]
    theirs, ours = (factories.dataset(factories.tenant()) for _ in range(2))

    def next_file(number: int) -> float:
        dataset_file, seconds = timed(factories.upload(ours, b"An ordinary file, number %d." % number))
        assert (dataset_file.state, dataset_file.chunk_count) == ("ready", 1)
        return seconds

    normal = [next_file(number) for number in range(10)]
    before = max(memory(pid) for worker in workers for pid in worker.pool())
    took, after, came, most = {}, [], {}, 0
    for number, name in enumerate(hostile_files.FILES, len(normal)):
        dataset_file, took[name] = timed(factories.upload(theirs, hostile_files.make(name), filename=name))
        code = hostile_files.TEXT if dataset_file.state == "ready" else dataset_file.error_code
        assert code in hostile_files.outcomes(name), (
            name,
            dataset_file.error_code,
            dataset_file.error_message,
        )
        assert code == hostile_files.TEXT or dataset_file.error_message
        came[code] = came.get(code, 0) + 1
        after.append(next_file(number))
        most = max(most, *(memory(pid) for worker in workers for pid in worker.pool()))
    slowest = sorted(took, key=took.get)[-3:]
    record(
        f"{len(took)} hostile files, each followed by an ordinary one of another tenant",
        f"all at an end within {MOST_SECONDS} s, a worker's process under {MOST_MEMORY >> 20} MiB, the next one ready as ever",
        f"{dict(sorted(came.items()))}; at most {max(took.values()):.0f} s (median {statistics.median(took.values()):.1f} s; "
        f"slowest {', '.join(f'{name} {took[name]:.0f} s' for name in slowest)}); a worker's process at most {most >> 20} MiB "
        f"({before >> 20} MiB before); ordinary files before: median {statistics.median(normal):.2f} s, at most {max(normal):.2f} s; "
        f"after: median {statistics.median(after):.2f} s, at most {max(after):.2f} s",
    )
    assert len(took) == 42
    assert max(took.values()) < MOST_SECONDS
    assert most < MOST_MEMORY


def test_hostile_files_do_not_delay_other_files(workers, ocr_worker, record):
    """The two that take longest, and ordinary files of another tenant while they are read."""
    theirs, ours = (factories.dataset(factories.tenant()) for _ in range(2))
    hostiles = [
        factories.upload(theirs, hostile_files.make(name), filename=name)
        for name in ("draws-itself.pdf", "one-line.txt")
    ]
    wake()
    eventually(lambda: any(state(dataset_file).state == "processing" for dataset_file in hostiles))
    seconds = []
    for number in range(10):
        dataset_file, took = timed(factories.upload(ours, b"An ordinary file, number %d." % number))
        assert dataset_file.state == "ready"
        seconds.append(took)
    eventually(lambda: all(state(dataset_file).state in TERMINAL for dataset_file in hostiles), MOST_SECONDS)
    record(
        "10 ordinary files while 2 hostile ones are read",
        "ready meanwhile",
        f"median {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s",
    )
