"""What was measured, as tables and verdicts."""

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median

from benchmarks.contestants import Contestant
from benchmarks.measure import Outcome
from benchmarks.routes import KINDS, ROUTES, chat_beside

#: The gateway's CPU for a whole answer, as a part of the naive one's.
MOST_OF_NAIVE = 0.12
#: Its CPU for an event of a stream, likewise.
MOST_OF_NAIVE_EVENT = 0.37
#: CPU of a request for embeddings or speech without its bytes, as a part of a whole chat's.
MOST_OF_CHAT = 1.0

GATEWAY, NAIVE, DIRECT = "gateway", "naive", "direct"
Value = Callable[[Outcome], float]


@dataclass
class Results:
    """Outcomes by contestant and load, in the order of the rounds."""

    outcomes: dict[str, dict[str, list[Outcome]]] = field(default_factory=dict)
    held: dict[str, tuple[Outcome, float]] = field(default_factory=dict)
    #: CPU milliseconds a second of each process tree while nothing is asked of it, by name.
    at_rest: dict[str, float] = field(default_factory=dict)
    #: Bytes of an answer, by the name of its route and size.
    bytes: dict[str, int] = field(default_factory=dict)

    def add(self, contestant: Contestant, load: str, outcome: Outcome) -> None:
        self.outcomes.setdefault(contestant.name, {}).setdefault(load, []).append(outcome)

    def add_held(self, contestant: Contestant, outcome: Outcome, mib: float) -> None:
        self.held[contestant.name] = outcome, mib

    def values(self, name: str, load: str, value: Value) -> list[float]:
        return [value(outcome) for outcome in self.outcomes[name][load]]

    def flaws(self) -> list[str]:
        """Everything that was wrong with any answer."""
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


def _beside(name: str) -> Value:
    return lambda outcome: 1000 * outcome.beside.get(name, 0.0) / outcome.answered


def _row(results: Results, label: str, load: str, value: Value, digits: int) -> str:
    cells = [
        f"{median(results.values(name, load, value)):.{digits}f}" if name in results.outcomes else ""
        for name in (GATEWAY, NAIVE, DIRECT)
    ]
    return f"| {label} | {' | '.join(cells)} |"


def _ratio(results: Results, load: str, value: Value) -> tuple[float, str]:
    """The gateway's value as a part of the naive one's, round by round: the median, and its spread in words."""
    pairs = zip(results.values(GATEWAY, load, value), results.values(NAIVE, load, value), strict=True)
    ratios = [ours / theirs for ours, theirs in pairs if theirs]
    return median(ratios), f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


def _added(results: Results, quantile: str) -> str:
    """Milliseconds that a gateway adds to the direct call, by contestant."""
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
        _row(results, "whole answers, 32 clients: CPU ms a request", "saturated", lambda o: o.cpu_ms, 3),
        *(
            _row(results, f"beside it, CPU ms a request: {name}", "saturated", _beside(name), 3)
            for name in ("Redis", "PostgreSQL", "workers")
        ),
        _row(
            results, "whole answers, 32 clients: requests/s", "saturated", lambda o: float(o.seen["rate"]), 0
        ),
        _row(results, "whole answers, one client: CPU ms a request", "low", lambda o: o.cpu_ms, 3),
        _added(results, "p50"),
        _added(results, "p99"),
        _row(results, "streams of 50 chunks, 16 clients: CPU us an event", "stream", lambda o: o.event_us, 1),
        _row(results, "first event, p50, ms", "stream", lambda o: o.milliseconds("first_event", "p50"), 2),
        _row(results, "age of a chunk, p50, ms", "stream", lambda o: o.milliseconds("age", "p50"), 2),
        _row(results, "age of a chunk, p99, ms", "stream", lambda o: o.milliseconds("age", "p99"), 2),
        _held_row(results, "streams held at once", lambda one, _: f"{one.seen['most_live']}"),
        _held_row(results, "of them whole", lambda one, _: f"{one.seen['ok']}"),
        _held_row(
            results, "age of their chunks, p99, ms", lambda one, _: f"{one.milliseconds('age', 'p99'):.0f}"
        ),
        _held_row(results, "memory with them, MiB", lambda _, mib: f"{mib:.0f}"),
    ]


def _spread(values: Sequence[float], digits: int) -> str:
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _lines(results: Results, kind: str) -> list[tuple[float, float]]:
    """The straight line through the smallest and the largest of one kind of answer, round by round.

    Returns:
        CPU ms of a request without its bytes, and CPU ms a KiB of the answer.
    """
    smallest, *_, largest = [route.name for route in ROUTES if route.kind == kind]
    first, last = results.bytes[smallest] / 1024, results.bytes[largest] / 1024
    lines = []
    for low, high in zip(*(results.values(GATEWAY, name, _ms) for name in (smallest, largest)), strict=True):
        slope = (high - low) / (last - first)
        lines.append((low - slope * first, slope))
    return lines


def _of_chat(results: Results, kind: str, values: Sequence[float]) -> list[float]:
    chats = results.values(GATEWAY, chat_beside(kind), _ms)
    return [value / chat for value, chat in zip(values, chats, strict=True)]


def routes_tables(results: Results) -> list[str]:
    """What the other routes cost beside a whole chat, size by size, and what of it is their bytes."""
    sizes = ["| | KiB | CPU ms a request | of a chat's | requests/s |", "|---|---|---|---|---|"]
    for route in ROUTES:
        costs = results.values(GATEWAY, route.name, _ms)
        rate = median(results.values(GATEWAY, route.name, lambda outcome: float(outcome.seen["rate"])))
        kib = results.bytes[route.name] / 1024
        ratio = _spread(_of_chat(results, route.kind, costs), 2)
        sizes.append(f"| {route.name} | {kib:.1f} | {median(costs):.3f} | {ratio} | {rate:.0f} |")
    kinds = ["| | a request without its bytes, CPU ms | of a chat's | CPU us a KiB |", "|---|---|---|---|"]
    for kind in KINDS:
        fixed, slopes = zip(*_lines(results, kind), strict=True)
        ratio = _spread(_of_chat(results, kind, fixed), 2)
        slope = _spread([1000 * slope for slope in slopes], 2)
        kinds.append(f"| {kind} | {median(fixed):.3f} | {ratio} | {slope} |")
    return [*sizes, "", *kinds]


def route_verdicts(results: Results) -> list[tuple[bool, str]]:
    """Whether each kind of answer costs no more than a chat and its own bytes."""
    judged = []
    for kind in KINDS:
        ratios = _of_chat(results, kind, [fixed for fixed, _ in _lines(results, kind)])
        words = (
            f"CPU of {kind} without the bytes, of a chat's: {_spread(ratios, 2)}; at most {MOST_OF_CHAT:.0f}"
        )
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
            f"CPU a whole answer, of the naive gateway's: {spread}; at most {MOST_OF_NAIVE}",
        ),
        (
            event_part <= MOST_OF_NAIVE_EVENT,
            f"CPU an event, of the naive gateway's: {event_spread}; at most {MOST_OF_NAIVE_EVENT}",
        ),
        *route_verdicts(results),
        (live == whole == held, f"streams held at once by one process: {live}, whole: {whole}; all {held}"),
        (not flaws, "answers that were wrong: " + ("; ".join(flaws[:3]) if flaws else "none")),
    ]


def written(results: Results, held: int) -> tuple[str, bool]:
    """The whole report, and whether every target was met."""
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
        f"At rest, CPU ms a second: {resting}. What stands beside a request has its share of this in it, the",
        "larger the fewer requests there are a second.",
        "",
        "## Embeddings and speech",
        "",
        "32 clients, each kind right after whole chats that it is compared with. The lower table has the straight line through the",
        "smallest and the largest of each kind: what a request costs by itself, and what a KiB of its answer adds.",
        "",
        *routes_tables(results),
        "",
        "## Targets",
        "",
        *(f"- {'met' if met else 'MISSED'}: {text}" for met, text in judged),
        "",
    ]
    return "\n".join(lines), all(met for met, _ in judged)
