"""Turns measurements into tables and verdicts."""

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median

from benchmarks.contestants import Contestant
from benchmarks.measure import Outcome
from benchmarks.routes import KINDS, ROUTES, preceding_chat

#: Target: the gateway's CPU per response, as a share of the naive gateway's.
MOST_OF_NAIVE = 0.12
#: Target: the gateway's CPU per stream event, as a share of the naive gateway's.
MOST_OF_NAIVE_EVENT = 0.37
#: Target: CPU of an embeddings or speech request without its bytes, as a share of a chat's.
MOST_OF_CHAT = 1.0

GATEWAY, NAIVE, DIRECT = "gateway", "naive", "direct"
Value = Callable[[Outcome], float]


@dataclass
class Results:
    """Outcomes by contestant and load, in order of the rounds."""

    outcomes: dict[str, dict[str, list[Outcome]]] = field(default_factory=dict)
    held: dict[str, tuple[Outcome, float]] = field(default_factory=dict)
    #: CPU milliseconds per second of each idle process tree, by name.
    at_rest: dict[str, float] = field(default_factory=dict)
    #: Response size in bytes, by route name.
    bytes: dict[str, int] = field(default_factory=dict)

    def add(self, contestant: Contestant, load: str, outcome: Outcome) -> None:
        self.outcomes.setdefault(contestant.name, {}).setdefault(load, []).append(outcome)

    def add_held(self, contestant: Contestant, outcome: Outcome, mib: float) -> None:
        self.held[contestant.name] = outcome, mib

    def values(self, name: str, load: str, value: Value) -> list[float]:
        return [value(outcome) for outcome in self.outcomes[name][load]]

    def flaws(self) -> list[str]:
        """All faults of any response."""
        found = [
            f"{name}, {load}: {flaw}"
            for name, loads in self.outcomes.items()
            for load, outcomes in loads.items()
            for outcome in outcomes
            if (flaw := outcome.flaws())
        ]
        return found + [
            f"{name}, held: {flaw}" for name, (one, _) in self.held.items() if (flaw := one.flaws())
        ]


def _ms(outcome: Outcome) -> float:
    return outcome.cpu_ms


def _supporting(name: str) -> Value:
    return lambda outcome: 1000 * outcome.supporting.get(name, 0.0) / outcome.answered


def _row(results: Results, label: str, load: str, value: Value, digits: int) -> str:
    cells = [
        f"{median(results.values(name, load, value)):.{digits}f}" if name in results.outcomes else ""
        for name in (GATEWAY, NAIVE, DIRECT)
    ]
    return f"| {label} | {' | '.join(cells)} |"


def _ratio(results: Results, load: str, value: Value) -> tuple[float, str]:
    """The gateway's value as a share of the naive gateway's, per round: the median, and the spread as text."""
    pairs = zip(results.values(GATEWAY, load, value), results.values(NAIVE, load, value), strict=True)
    ratios = [ours / theirs for ours, theirs in pairs if theirs]
    return median(ratios), f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


def _added(results: Results, quantile: str) -> str:
    """Milliseconds that a gateway adds to a direct call, by contestant."""
    direct = results.values(DIRECT, "low", lambda outcome: outcome.milliseconds("latency", quantile))
    cells = []
    for name in (GATEWAY, NAIVE):
        here = results.values(name, "low", lambda outcome: outcome.milliseconds("latency", quantile))
        cells.append(f"{median(a - b for a, b in zip(here, direct, strict=True)):.2f}")
    return f"| added latency, one client, {quantile}, ms | {' | '.join(cells)} | 0 |"


def _held_row(results: Results, label: str, cell: Callable[[Outcome, float], str]) -> str:
    cells = [cell(*results.held[name]) if name in results.held else "" for name in (GATEWAY, NAIVE)]
    return f"| {label} | {' | '.join(cells)} | |"


def table(results: Results) -> list[str]:
    return [
        "| | gateway | naive | direct |",
        "|---|---|---|---|",
        _row(results, "responses, 32 clients: CPU ms per request", "saturated", lambda o: o.cpu_ms, 3),
        *(
            _row(
                results,
                f"supporting processes, CPU ms per request: {name}",
                "saturated",
                _supporting(name),
                3,
            )
            for name in ("Redis", "PostgreSQL", "workers")
        ),
        _row(results, "responses, 32 clients: requests/s", "saturated", lambda o: float(o.seen["rate"]), 0),
        _row(results, "responses, one client: CPU ms per request", "low", lambda o: o.cpu_ms, 3),
        _added(results, "p50"),
        _added(results, "p99"),
        _row(
            results, "streams of 50 chunks, 16 clients: CPU us per event", "stream", lambda o: o.event_us, 1
        ),
        _row(results, "first event, p50, ms", "stream", lambda o: o.milliseconds("first_event", "p50"), 2),
        _row(results, "chunk age, p50, ms", "stream", lambda o: o.milliseconds("age", "p50"), 2),
        _row(results, "chunk age, p99, ms", "stream", lambda o: o.milliseconds("age", "p99"), 2),
        _held_row(results, "simultaneous streams", lambda one, _: f"{one.seen['most_live']}"),
        _held_row(results, "of those, complete", lambda one, _: f"{one.seen['ok']}"),
        _held_row(
            results, "their chunk age, p99, ms", lambda one, _: f"{one.milliseconds('age', 'p99'):.0f}"
        ),
        _held_row(results, "memory, MiB", lambda _, mib: f"{mib:.0f}"),
    ]


def _spread(values: Sequence[float], digits: int) -> str:
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _lines(results: Results, kind: str) -> list[tuple[float, float]]:
    """Fit a line through the smallest and largest response of one kind, per round.

    Returns:
        CPU ms of a request without its bytes, and CPU ms per KiB of the response.
    """
    smallest, *_, largest = [route.name for route in ROUTES if route.kind == kind]
    first, last = results.bytes[smallest] / 1024, results.bytes[largest] / 1024
    lines = []
    for low, high in zip(*(results.values(GATEWAY, name, _ms) for name in (smallest, largest)), strict=True):
        slope = (high - low) / (last - first)
        lines.append((low - slope * first, slope))
    return lines


def _of_chat(results: Results, kind: str, values: Sequence[float]) -> list[float]:
    chats = results.values(GATEWAY, preceding_chat(kind), _ms)
    return [value / chat for value, chat in zip(values, chats, strict=True)]


def routes_tables(results: Results) -> list[str]:
    """Cost of the other routes relative to a chat, by size, and the share of their bytes."""
    sizes = ["| | KiB | CPU ms per request | relative to a chat | requests/s |", "|---|---|---|---|---|"]
    for route in ROUTES:
        costs = results.values(GATEWAY, route.name, _ms)
        rate = median(results.values(GATEWAY, route.name, lambda outcome: float(outcome.seen["rate"])))
        kib = results.bytes[route.name] / 1024
        ratio = _spread(_of_chat(results, route.kind, costs), 2)
        sizes.append(f"| {route.name} | {kib:.1f} | {median(costs):.3f} | {ratio} | {rate:.0f} |")
    kinds = [
        "| | request without its bytes, CPU ms | relative to a chat | CPU us per KiB |",
        "|---|---|---|---|",
    ]
    for kind in KINDS:
        fixed, slopes = zip(*_lines(results, kind), strict=True)
        ratio = _spread(_of_chat(results, kind, fixed), 2)
        slope = _spread([1000 * slope for slope in slopes], 2)
        kinds.append(f"| {kind} | {median(fixed):.3f} | {ratio} | {slope} |")
    return [*sizes, "", *kinds]


def route_verdicts(results: Results) -> list[tuple[bool, str]]:
    """Check that each kind of response costs no more than a chat plus its bytes."""
    judged = []
    for kind in KINDS:
        ratios = _of_chat(results, kind, [fixed for fixed, _ in _lines(results, kind)])
        words = f"CPU of {kind} without the bytes, relative to a chat: {_spread(ratios, 2)}; at most {MOST_OF_CHAT:.0f}"
        judged.append((median(ratios) <= MOST_OF_CHAT, words))
    return judged


def verdicts(results: Results, held: int) -> list[tuple[bool, str]]:
    part, spread = _ratio(results, "saturated", lambda outcome: outcome.cpu_ms)
    event_part, event_spread = _ratio(results, "stream", lambda outcome: outcome.event_us)
    outcome, _ = results.held[GATEWAY]
    live, whole = int(outcome.seen["most_live"]), int(outcome.seen["ok"])
    flaws = results.flaws()
    return [
        (
            part <= MOST_OF_NAIVE,
            f"CPU per response, relative to the naive gateway: {spread}; at most {MOST_OF_NAIVE}",
        ),
        (
            event_part <= MOST_OF_NAIVE_EVENT,
            f"CPU per event, relative to the naive gateway: {event_spread}; at most {MOST_OF_NAIVE_EVENT}",
        ),
        *route_verdicts(results),
        (
            live == whole == held,
            f"simultaneous streams in one process: {live}, complete: {whole}; target {held}",
        ),
        (not flaws, "wrong responses: " + ("; ".join(flaws[:3]) if flaws else "none")),
    ]


def written(results: Results, held: int) -> tuple[str, bool]:
    """The report, and whether every target was met."""
    rounds = len(results.outcomes[GATEWAY]["saturated"])
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    system = f"{platform.system()} {platform.machine()}"
    machine = f"{os.cpu_count()} cores, {system}, Python {platform.python_version()}"
    resting = ", ".join(f"{name} {ms:.1f}" for name, ms in results.at_rest.items())
    judged = verdicts(results, held)
    lines = [
        "# Benchmark",
        "",
        f"{when}, {machine}; medians of {rounds} paired rounds. One web process on one core.",
        "",
        *table(results),
        "",
        f"Idle, CPU ms per second: {resting}. The figures of supporting processes include their share of this.",
        "",
        "## Embeddings and speech",
        "",
        "32 clients, each kind right after the chats it is compared with. The second table fits a line through the smallest and the",
        "largest response of each kind: the cost of a request without its bytes, and of a KiB of the response.",
        "",
        *routes_tables(results),
        "",
        "## Targets",
        "",
        *(f"- {'met' if met else 'MISSED'}: {text}" for met, text in judged),
        "",
    ]
    return "\n".join(lines), all(met for met, _ in judged)
