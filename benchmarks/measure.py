"""One load on one contestant, and what it cost."""

import json
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks import machine
from benchmarks.contestants import BUILD, Contestant
from benchmarks.routes import Route

MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "Tell me about gateways. " * 20},
]
FLAWS = ("bad_status", "transport_errors", "truncated", "broken", "leaks")
#: Seconds after a load until what it left to others (records of usage) has been worked off.
SETTLE = 1.5


@dataclass(frozen=True)
class Load:
    """What the clients do. `delay`: milliseconds of the provider before an answer, or before each chunk."""

    connections: int
    seconds: float
    delay: int = 0
    chunks: int = 0
    requests: int | None = None
    #: Another route than chat, with a file of what has to come back.
    route: Route | None = None
    expected: Path | None = None

    @property
    def path(self) -> str:
        return self.route.path if self.route else "/chat/completions"

    def body(self, model: str) -> dict[str, Any]:
        if self.route:
            return {"model": model, **self.route.asked}
        body: dict[str, Any] = {"model": model, "messages": MESSAGES, "seed": self.delay}
        if self.chunks:
            body |= {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": self.chunks}
        return body


@dataclass
class Outcome:
    """What the load generator saw, and the CPU seconds that it cost: of the gateway, and of others by name."""

    seen: dict[str, Any]
    cpu: float
    beside: dict[str, float]

    @property
    def answered(self) -> int:
        return max(1, int(self.seen["ok"]))

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds an answer."""
        return 1000 * self.cpu / self.answered

    @property
    def event_us(self) -> float:
        """CPU microseconds an event of a stream, everything else of the request included."""
        return 1e6 * self.cpu / max(1, int(self.seen["events"]))

    def milliseconds(self, what: str, quantile: str) -> float:
        return float(self.seen[what][quantile]) / 1000

    def flaws(self) -> str:
        """What was wrong with the answers; empty where nothing was."""
        counted = [f"{self.seen[name]} {name}" for name in FLAWS if self.seen[name]]
        return ", ".join(counted) + (f" ({self.seen['complaint']})" if counted else "")


def run(contestant: Contestant, load: Load, beside: dict[str, list[int]] | None = None) -> Outcome:
    """Put a load on a contestant. With `beside`, wait until the others have done their part of the work."""
    # A direct call asks the provider for what the gateway would ask it for.
    command = [
        str(BUILD / "load"),
        *("-u", contestant.address),
        *("-p", f"/api/tenant/v1{load.path}"),
        *("-k", contestant.key),
        *("-b", json.dumps(load.body(contestant.model), separators=(",", ":"))),
        *("-c", str(load.connections)),
        *("-d", str(load.seconds)),
    ]
    if load.requests is not None:
        command += ["-n", str(load.requests)]
    if load.expected:
        command += ["-e", str(load.expected)]
    if not contestant.pids:
        command += ["-l", "no-such-text"]
    others = beside or {}
    before = {name: machine.cpu_seconds(*pids) for name, pids in others.items()}
    cpu = machine.cpu_seconds(*contestant.pids)
    seen = json.loads(subprocess.check_output(command))
    cpu = machine.cpu_seconds(*contestant.pids) - cpu
    if others:
        time.sleep(SETTLE)
    after = {name: machine.cpu_seconds(*pids) for name, pids in others.items()}
    return Outcome(seen, cpu, {name: after[name] - before[name] for name in others})


class PeakMemory:
    """Watches the memory of processes while it is entered; `mib` is the most that was seen."""

    def __init__(self, pids: list[int]) -> None:
        self.pids = pids
        self.mib = machine.memory_mib(*pids)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._stop.wait(0.25):
            self.mib = max(self.mib, machine.memory_mib(*self.pids))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
