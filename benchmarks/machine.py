"""CPU time, memory and core affinity of process trees, read from /proc."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


def _stat(pid: int) -> tuple[int, float]:
    """The parent of a process, and its CPU seconds including children that have ended."""
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return int(fields[1]), sum(map(int, fields[11:15])) / TICKS


def tree(roots: Iterable[int]) -> Iterator[int]:
    """The processes and all their descendants."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                children.setdefault(_stat(int(entry.name))[0], []).append(int(entry.name))
    todo = list(roots)
    while todo:
        pid = todo.pop()
        yield pid
        todo += children.get(pid, [])


def cpu_seconds(*roots: int) -> float:
    """Total user and system CPU seconds of process trees."""
    total = 0.0
    for pid in tree(roots):
        with suppress(OSError):
            total += _stat(pid)[1]
    return total


def memory_mib(*roots: int) -> float:
    """Proportional set size of process trees in MiB: shared pages count once."""
    total = 0
    for pid in tree(roots):
        with suppress(OSError):
            lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def pin(roots: Iterable[int], cores: set[int]) -> None:
    """Pin every thread of process trees to these cores, with a higher priority where permitted."""
    for pid in tree(roots):
        with suppress(OSError):
            for thread in (PROC / str(pid) / "task").iterdir():
                os.sched_setaffinity(int(thread.name), cores)
                with suppress(PermissionError):
                    os.setpriority(os.PRIO_PROCESS, int(thread.name), -15)
        # The scheduler divides time between sessions first, and each of these processes has its own session.
        with suppress(OSError):
            (PROC / str(pid) / "autogroup").write_text("-15")


def cores() -> tuple[set[int], set[int]]:
    """The core for the measured process, and the cores for everything else."""
    available = sorted(os.sched_getaffinity(0))
    return {available[0]}, set(available[1:]) or {available[0]}
