"""Test real clients against a running gateway and write the results to docs/compatibility.md.

    make clients [ARGS="--only openai-node-7"]        # or: .venv/bin/python clients/run.py --list

Each client is installed from its lock file into its own environment under var/clients, which is kept, and then run
on both base URLs with access to the loopback interface only. Exit status 1: a check failed for a reason that is not
the client's own fault.
"""

import argparse
import sys
from pathlib import Path
from threading import Event
from time import monotonic

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from clients import network, report  # noqa: E402 - the checkout has to be on the path
from clients.environments import HOME, CannotInstall, Environment  # noqa: E402
from clients.registry import CLIENTS, Client  # noqa: E402
from clients.results import Results  # noqa: E402
from clients.session import run_client  # noqa: E402
from clients.stack import BASES, serving  # noqa: E402
from gtapi.stack.errors import StackError  # noqa: E402
from gtapi.text import pluralize  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make clients ARGS=...", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--list", action="store_true", help="list the clients and exit")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help="test only these; the others keep their results",
    )
    parser.add_argument("--base", choices=BASES, help="test on one base URL only, and write nothing")
    parser.add_argument("--fresh", action="store_true", help="reinstall clients that are already installed")
    parser.add_argument(
        "--lock", action="store_true", help="resolve the packages, write the lock files and exit"
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep serving until Ctrl-C, with network access, to try things by hand",
    )
    chosen = parser.parse_args()
    if unknown := set(chosen.only) - CLIENTS.keys():
        parser.error(f"unknown client: {', '.join(sorted(unknown))}; see --list")
    return chosen


def say(words: str, end: str = "\n") -> None:
    print(words, end=end, flush=True)


def install(clients: list[Client], *, fresh: bool) -> dict[str, str]:
    """Install missing clients; returns the reason for each client that could not be installed."""
    problems = {}
    for client in clients:
        environment = Environment(client)
        if environment.installed() and not fresh:
            continue
        start = monotonic()
        say(f"installing {client.title} ... ", end="")
        try:
            environment.install()
            say(f"{monotonic() - start:.0f} s")
        except CannotInstall as error:
            problems[client.name] = str(error)
            say(f"cannot be installed: {error}")
    return problems


def lock(clients: list[Client]) -> int:
    for client in clients:
        try:
            Environment(client).write_lock()
        except CannotInstall as error:
            say(f"{client.name}: {error}")
            return 1
        say(f"{client.name}: resolved")
    return 0


def check(clients: list[Client], problems: dict[str, str], chosen: argparse.Namespace) -> list[Results]:
    """Run the clients one after another, printing a line for each."""
    bases = (chosen.base,) if chosen.base else BASES
    isolated = not chosen.keep and network.cut_off()
    say(
        "Network access is limited to loopback from here on."
        if isolated
        else "Network access was NOT limited."
    )
    done = []
    with serving(HOME / "gateway.log") as served:
        for client in clients:
            if client.name in problems:
                done.append(Results.not_installed(client, problems[client.name]))
                continue
            start = monotonic()
            say(f"{client.title:20}", end="")
            results = run_client(client, served, bases)
            say(f" {results.summary()}  ({monotonic() - start:.0f} s)")
            for failure in results.failures():
                say(f"    {failure}")
            done.append(results)
        if chosen.keep:
            say(f"\nserving {served.url}{BASES[1]}\n  key {served.api_key}\n  Ctrl-C stops it")
            try:
                Event().wait()
            except KeyboardInterrupt:
                say("")
    return done


def main() -> int:
    chosen = arguments()
    clients = [CLIENTS[name] for name in (chosen.only or CLIENTS)]
    if chosen.list:
        for client in clients:
            say(f"{client.name:20}{' '.join(client.packages) or 'of this system'}")
        return 0
    if chosen.lock:
        return lock(clients)
    start = monotonic()
    problems = install(clients, fresh=chosen.fresh)
    done = check(clients, problems, chosen)
    if not chosen.base:
        for results in done:
            results.save()
        report.write()
        say(f"written: {report.PAGE.relative_to(CHECKOUT)}")
    ours = sum(len(results.ours()) for results in done)
    say(
        f"{pluralize(len(done), 'client')} in {monotonic() - start:.0f} s; {pluralize(ours, 'failure')} of ours"
    )
    return 1 if ours else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except StackError as error:
        sys.exit(f"The gateway could not be started: {error}")
