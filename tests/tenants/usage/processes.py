"""Processes of the ledger's tests: one that records usage as a web process does, and one that drains it.

`python -m tests.tenants.usage.processes record` reads lists of entries as lines of JSON and answers each with the
ids once the records are durable; `… drain` drains again and again until it is killed.
"""

import asyncio
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable
from typing import Any, Self

from gtapi.ids import uuid7
from tests import environment


def fields(**values: Any) -> dict[str, Any]:
    """The fields of an entry, with an id of its own."""
    return {
        "id": str(uuid7()),
        "created_at": time.time(),
        "tenant_id": 1,
        "key_id": 1,
        "request_id": "req_of_the_ledger",
        "route": "chat.completions",
        **values,
    }


class Process:
    """A child with a pipe to it; leaving it by the context kills it."""

    def __init__(self, task: str, variables: dict[str, str]) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-m", "tests.tenants.usage.processes", task],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environment.VARIABLES, **variables, "PATH": ""},
            cwd=environment.CHECKOUT,
            text=True,
        )
        assert self.answer() == "ready"

    def answer(self) -> str:
        return self.child.stdout.readline().strip()

    def ask(self, entries: Iterable[dict[str, Any]]) -> None:
        self.child.stdin.write(json.dumps(list(entries)) + "\n")
        self.child.stdin.flush()

    def record(self, *entries: dict[str, Any]) -> list[str]:
        """Record entries together; returns their ids once they are durable."""
        self.ask(entries)
        return self.answer().split()

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()

    def end(self) -> None:
        """Let it end as a web process does at a restart."""
        self.child.stdin.close()
        assert self.child.wait(30) == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.child.stdin.close()
        self.child.stdout.close()


def say(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


async def _record() -> None:
    from tenants.usage import ledger

    loop = asyncio.get_running_loop()
    async with ledger.recording():
        say("ready")
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            entries = [
                ledger.UsageEvent(**{**values, "id": uuid.UUID(values["id"])}) for values in json.loads(line)
            ]
            await asyncio.gather(*(ledger.record(entry) for entry in entries))
            say(*(str(entry.id) for entry in entries))


def _drain() -> None:
    from tenants.usage import drain

    say("ready")
    while True:
        drain.drain()
        time.sleep(0.01)


def _main(task: str) -> None:
    # The ledger needs the settings and no app: to load them all would take longer than what is tested.
    if task == "record":
        import uvloop

        uvloop.run(_record())
    else:
        _drain()


if __name__ == "__main__":
    _main(sys.argv[1])
