"""The check runner, executed in a client's own environment with nothing but the standard library.

A check is a function or coroutine function that takes the facts and raises if something is wrong::

    @check("chat")
    def whole_answer(facts): ...

    if __name__ == "__main__":
        main()

The script reads the facts as JSON from standard input and writes one line per check to the file that the facts name.
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

#: Seconds allowed for one check.
CHECK_SECONDS = 240
Check = Callable[[SimpleNamespace], Any]
CHECKS: list[tuple[str, str, Check, str]] = []


def check(route: str, *, name: str = "", theirs: str = "") -> Callable[[Check], Check]:
    """Register a check of a route.

    ``theirs`` says why a failure would be the client's own fault; it is reported as a failure all the same.
    """

    def register(function: Check) -> Check:
        CHECKS.append((route, name or function.__name__.replace("_", " ").strip(), function, theirs))
        return function

    return register


def raised(kind: type[BaseException], call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return the error that a call must raise."""
    try:
        call(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


async def raised_async(kind: type[BaseException], awaitable: Any) -> Any:
    """Return the error that an awaitable must raise."""
    try:
        await awaitable
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def took(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return a call's result and its duration in seconds."""
    start = time.monotonic()
    return call(), time.monotonic() - start


class OutOfTime(BaseException):
    """A check timed out. Not an Exception, so that clients do not treat it as a connection error and retry."""


def _out_of_time(_number: int, _frame: Any) -> None:
    raise OutOfTime(f"not finished after {CHECK_SECONDS} s")


def _run(function: Check, facts: SimpleNamespace, loop: asyncio.Runner) -> str | None:
    """Run one check; returns why it failed, or None."""
    signal.alarm(CHECK_SECONDS)
    try:
        result = function(facts)
        if inspect.isawaitable(result):
            loop.run(_finish(result))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - any error is a failed check
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
    """Run every check. ``version``: for programs that are not Python packages."""
    facts = SimpleNamespace(**json.load(sys.stdin))
    signal.signal(signal.SIGALRM, _out_of_time)
    # One event loop for all checks, as in a program: some clients keep connections bound to it.
    with open(facts.results, "w", encoding="utf-8") as results, asyncio.Runner() as loop:  # noqa: PTH123
        runtime = f"Python {platform.python_version()}"
        installed = version or _version(facts.package)
        _write(results, version=installed, runtime=runtime, checks=[c[:2] for c in CHECKS])
        for route, name, function, theirs in CHECKS:
            start = time.monotonic()
            print(f"--- {route}: {name}", file=sys.stderr, flush=True)
            reason = _run(function, facts, loop)
            seconds = round(time.monotonic() - start, 2)
            _write(results, route=route, name=name, reason=reason, theirs=theirs, seconds=seconds)


def _write(results: TextIO, **line: Any) -> None:
    results.write(json.dumps(line) + "\n")
    results.flush()
