"""What runs the checks of one client, in the client's own environment: nothing but the standard library.

A check is a function, or a coroutine function, that takes the facts and raises what is wrong::

    @check("chat")
    def whole_answer(facts): ...

    if __name__ == "__main__":
        main()

The script reads the facts as JSON from its standard input, and writes a line for each check to the file that they
name.
"""

import asyncio
import importlib.metadata
import inspect
import json
import platform
import signal
import sys
import time
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TextIO

#: Seconds that one check may take.
PATIENCE = 240
Check = Callable[[SimpleNamespace], Any]
CHECKS: list[tuple[str, str, Check, str]] = []


def check(route: str, *, name: str = "", theirs: str = "") -> Callable[[Check], Check]:
    """Register a check of a route.

    ``theirs`` says why a failure would be the client's own: it is reported as failing all the same.
    """

    def register(function: Check) -> Check:
        CHECKS.append((route, name or function.__name__.replace("_", " ").strip(), function, theirs))
        return function

    return register


def raised(kind: type[BaseException], call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return the error that a call has to raise."""
    try:
        call(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} came")


async def raised_async(kind: type[BaseException], awaitable: Any) -> Any:
    """Return the error that an awaitable has to raise."""
    try:
        await awaitable
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} came")


def took(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return a call's result and the seconds that it took."""
    start = time.monotonic()
    return call(), time.monotonic() - start


class OutOfTime(BaseException):
    """Not an Exception, so that no client takes it for a fault of the connection and tries again."""


def _out_of_time(_number: int, _frame: Any) -> None:
    raise OutOfTime(f"no end after {PATIENCE} s")


def _run(function: Check, facts: SimpleNamespace, loop: asyncio.Runner) -> str | None:
    """Return what was wrong, None for nothing."""
    signal.alarm(PATIENCE)
    try:
        result = function(facts)
        if inspect.isawaitable(result):
            loop.run(_finish(result))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it was, it is the verdict
        traceback.print_exc()
        return _reason(error)
    finally:
        signal.alarm(0)
    return None


async def _finish(awaitable: Any) -> Any:
    return await awaitable


def _reason(error: BaseException) -> str:
    words = " ".join(str(error).split())
    if isinstance(error, AssertionError):
        line = traceback.extract_tb(error.__traceback__)[-1].line or ""
        return f"{line} ({words})" if words else line
    return f"{type(error).__name__}: {words}"


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def main(version: str = "") -> None:
    """Run every check; ``version`` is for programs that are no Python package."""
    facts = SimpleNamespace(**json.load(sys.stdin))
    signal.signal(signal.SIGALRM, _out_of_time)
    # One loop for all, as in a program: some clients keep connections that belong to it.
    with open(facts.results, "w", encoding="utf-8") as results, asyncio.Runner() as loop:  # noqa: PTH123
        runtime = f"Python {platform.python_version()}"
        found = version or _version(facts.package)
        _write(results, version=found, runtime=runtime, checks=[c[:2] for c in CHECKS])
        for route, name, function, theirs in CHECKS:
            start = time.monotonic()
            print(f"--- {route}: {name}", file=sys.stderr, flush=True)
            reason = _run(function, facts, loop)
            seconds = round(time.monotonic() - start, 2)
            _write(results, route=route, name=name, reason=reason, theirs=theirs, seconds=seconds)


def _write(results: TextIO, **line: Any) -> None:
    results.write(json.dumps(line) + "\n")
    results.flush()
