"""Runs one load against one contestant and measures its cost."""

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
#: Seconds after a load until workers have processed its usage events.
SETTLE = 1.5


@dataclass(frozen=True)
class Load:
    """What the clients do. `delay`: milliseconds the provider waits before a response, or before each chunk."""

    connections: int
    seconds: float
    delay: int = 0
    chunks: int = 0
    requests: int | None = None
    #: A route other than chat, with a file that contains the expected response.
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
    """The load generator's results, and CPU seconds: of the gateway, and of supporting processes by name."""

    seen: dict[str, Any]
    cpu: float
    supporting: dict[str, float]

    @property
    def answered(self) -> int:
        return max(1, int(self.seen["ok"]))

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds per response."""
        return 1000 * self.cpu / self.answered

    @property
    def event_us(self) -> float:
        """CPU microseconds per stream event, with all other costs of the request included."""
        return 1e6 * self.cpu / max(1, int(self.seen["events"]))

    def milliseconds(self, what: str, quantile: str) -> float:
        return float(self.seen[what][quantile]) / 1000

    def flaws(self) -> str:
        """The faults of the responses, or an empty string."""
        counted = [f"{self.seen[name]} {name}" for name in FLAWS if self.seen[name]]
        return ", ".join(counted) + (f" ({self.seen['complaint']})" if counted else "")


def run(contestant: Contestant, load: Load, supporting: dict[str, list[int]] | None = None) -> Outcome:
    """Run a load against a contestant. With `supporting`, also wait for and measure those processes."""
    # A direct call uses the raw model name that the gateway would use.
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
    others = supporting or {}
    before = {name: machine.cpu_seconds(*pids) for name, pids in others.items()}
    cpu = machine.cpu_seconds(*contestant.pids)
    seen = json.loads(subprocess.check_output(command))
    cpu = machine.cpu_seconds(*contestant.pids) - cpu
    if others:
        time.sleep(SETTLE)
    after = {name: machine.cpu_seconds(*pids) for name, pids in others.items()}
    return Outcome(seen, cpu, {name: after[name] - before[name] for name in others})


class PeakMemory:
    """Samples the memory of processes while entered; `mib` is the peak."""

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
