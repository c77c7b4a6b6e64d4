"""Child processes of the ledger's tests: one records usage events as a web process does, one drains them.

`python -m tests.tenants.usage.processes record` reads lists of events as lines of JSON and prints their ids once
they are durable; `… drain` drains repeatedly until it is killed.
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
from tenants.usage.record import UsageEvent
from tests import environment


def event_values(**values: Any) -> dict[str, Any]:
    """The values of a usage event with a new id."""
    return {
        "id": str(uuid7()),
        "created_at": time.time(),
        "tenant_id": 1,
        "key_id": 1,
        "request_id": "req_of_the_ledger",
        "route": "chat.completions",
        **values,
    }


def usage_event(**values: Any) -> UsageEvent:
    event = event_values(**values)
    return UsageEvent(**{**event, "id": uuid.UUID(event["id"])})


class Process:
    """A child process with pipes; leaving the context kills it."""

    def __init__(self, task: str, variables: dict[str, str]) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-m", "tests.tenants.usage.processes", task],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environment.VARIABLES, **variables, "PATH": ""},
            cwd=environment.CHECKOUT,
            text=True,
        )
        assert self.read_line() == "ready"

    def read_line(self) -> str:
        return self.child.stdout.readline().strip()

    def send(self, events: Iterable[dict[str, Any]]) -> None:
        self.child.stdin.write(json.dumps(list(events)) + "\n")
        self.child.stdin.flush()

    def record(self, *events: dict[str, Any]) -> list[str]:
        """Record events together and return their ids once they are durable."""
        self.send(events)
        return self.read_line().split()

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()

    def shut_down(self) -> None:
        """Let it exit as a web process does on restart."""
        self.child.stdin.close()
        assert self.child.wait(30) == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.child.stdin.close()
        self.child.stdout.close()


def print_line(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


async def _record() -> None:
    from tenants.usage import ledger

    loop = asyncio.get_running_loop()
    async with ledger.recording():
        print_line("ready")
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            events = [
                ledger.UsageEvent(**{**values, "id": uuid.UUID(values["id"])}) for values in json.loads(line)
            ]
            await asyncio.gather(*(ledger.record(event) for event in events))
            print_line(*(str(event.id) for event in events))


def _drain() -> None:
    from tenants.usage import drain

    print_line("ready")
    while True:
        drain.drain()
        time.sleep(0.01)


def _main(task: str) -> None:
    # The ledger needs the settings but no apps: loading them would take longer than the test.
    if task == "record":
        import uvloop

        uvloop.run(_record())
    else:
        _drain()


if __name__ == "__main__":
    _main(sys.argv[1])
