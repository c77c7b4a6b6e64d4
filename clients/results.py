"""The results of one client's checks, and the JSON file that stores them."""

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from clients.registry import ROUTES, Client

FOLDER = Path(__file__).resolve().parent / "results"
WORKS, FAILS, THEIRS, UNCHECKED = "works", "fails", "fails, theirs", "-"


def today() -> str:
    return datetime.now(UTC).date().isoformat()


@dataclass
class Check:
    """One check. ``reasons``: for each base URL why it failed, or None if it passed.

    ``theirs``: why a failure is the client's own fault.
    """

    route: str
    name: str
    theirs: str = ""
    reasons: dict[str, str | None] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        return any(reason is not None for reason in self.reasons.values())

    @property
    def reason(self) -> str:
        """Return why the check failed, with the base URL if it failed on only one."""
        wrong = {base: reason for base, reason in self.reasons.items() if reason is not None}
        if len(set(wrong.values())) == 1 and len(wrong) == len(self.reasons):
            return next(iter(wrong.values()))
        return "; ".join(f"on {base}: {reason}" for base, reason in wrong.items())


@dataclass
class Results:
    """The stored results of a client's last run. ``problem``: why there was none, or why it ended early."""

    client: str
    version: str
    runtime: str = ""
    date: str = field(default_factory=today)
    problem: str = ""
    installed: bool = True
    checks: list[Check] = field(default_factory=list)

    @classmethod
    def not_installed(cls, client: Client, why: str) -> Self:
        return cls(client.name, "", problem=why, installed=False)

    @classmethod
    def load(cls, client: Client) -> Self | None:
        """Return the stored results of the last run, or None."""
        path = FOLDER / f"{client.name}.json"
        if not path.exists():
            return None
        kept = json.loads(path.read_text())
        return cls(**{**kept, "checks": [Check(**check) for check in kept["checks"]]})

    def save(self) -> None:
        FOLDER.mkdir(exist_ok=True)
        words = json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"
        (FOLDER / f"{self.client}.json").write_text(words)

    def failing(self) -> list[Check]:
        return [check for check in self.checks if check.failed]

    def ours(self) -> list[str]:
        """Return the failures that are not the client's own fault."""
        found = [f"{check.route}: {check.name}" for check in self.failing() if not check.theirs]
        return [*found, self.problem] if self.problem and self.installed else found

    def verdict(self, route: str) -> str:
        """Return the verdict on one route."""
        checks = [check for check in self.checks if check.route == route]
        failed = [check for check in checks if check.failed]
        if not checks:
            return UNCHECKED
        if not failed:
            return WORKS
        return THEIRS if all(check.theirs for check in failed) else FAILS

    def summary(self) -> str:
        if not self.installed:
            return f"cannot be installed: {self.problem}"
        passed = len(self.checks) - len(self.failing())
        said = f"{self.version:9} {passed} of {len(self.checks)} checks work"
        return f"{said}; {self.problem}" if self.problem else said

    def failures(self) -> list[str]:
        lines = []
        for check in self.failing():
            whose = f" [theirs: {check.theirs}]" if check.theirs else ""
            lines.append(f"{check.route}: {check.name}: {check.reason}{whose}")
        return lines

    def unknown_routes(self) -> set[str]:
        return {check.route for check in self.checks} - ROUTES.keys()
