"""docs/compatibility.md: the kept results of all clients as one page."""

from clients.environments import CHECKOUT
from clients.registry import CLIENTS, ROUTES, Client
from clients.results import THEIRS, UNCHECKED, WORKS, Check, Results
from clients.stack import BASES

PAGE = CHECKOUT / "docs" / "compatibility.md"
HEAD = f"""\
# Clients that were checked

`make clients` writes this page: do not edit it. It installs real, pinned clients that nobody here wrote, each into
an environment of its own, and runs each against a running gateway, on both base URLs (`{BASES[0]}` and
`{BASES[1]}`). Behind the gateway stands a scripted provider, which calls tools and fills in schemas as a large
model does. While they run the clients reach nothing but the loopback. A verdict is what ran, never what is expected:

- **works**: every check of the route passed, on both base URLs.
- **fails**: a check failed, and the fault is ours, or nobody knows yet whose it is.
- **fails, theirs**: what failed would fail at any server; the reason stands below.
- **-**: the client has no such feature, or none that goes to the server.

`make clients ARGS="--only NAME"` checks one client anew.
"""


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def clients_table(found: list[tuple[Client, Results]]) -> str:
    rows = []
    for client, results in found:
        if not results.installed:
            rows.append([client.title, "", f"cannot be installed: {cell(results.problem)}", results.date, ""])
            continue
        passed = len(results.checks) - len(results.failing())
        command = f'`make clients ARGS="--only {client.name}"`'
        said = f"{passed} of {len(results.checks)}"
        rows.append([client.title, results.version, said, results.date, command])
    return table(["client", "version", "checks that work", "date", "command"], rows)


def matrix(found: list[tuple[Client, Results]]) -> str:
    marks = {WORKS: "works", UNCHECKED: "-"}
    rows = []
    for route in ROUTES:
        verdicts = [results.verdict(route) for _, results in found]
        rows.append([route, *(marks.get(verdict, f"**{verdict}**") for verdict in verdicts)])
    return table(["", *(client.title for client, _ in found)], rows)


def verdict_of(check: Check) -> str:
    if not check.failed:
        return WORKS
    why = cell(check.reason)
    return f"**{THEIRS}**: {cell(check.theirs)} ({why})" if check.theirs else f"**fails**: {why}"


def section(client: Client, results: Results) -> str:
    pinned = ", ".join(f"`{package}`" for package in client.packages) or "of the system"
    lines = [f"## {client.title} {results.version}", ""]
    lines.append(f"{pinned}; {results.runtime}; {results.date}; checks: `clients/checks/{client.script}`")
    if results.problem:
        lines += ["", f"**{cell(results.problem)}**"]
    rows = [[check.route, cell(check.name), verdict_of(check)] for check in results.checks]
    rows.sort(key=lambda row: list(ROUTES).index(row[0]))
    return "\n".join([*lines, "", table(["route", "check", "verdict"], rows)])


def write() -> None:
    """Write the page from what is kept of every client in the registry."""
    found = [(client, kept) for client in CLIENTS.values() if (kept := Results.load(client))]
    missing = [client.title for client in CLIENTS.values() if client.name not in {c.name for c, _ in found}]
    ran = [(client, results) for client, results in found if results.installed]
    parts = [HEAD, clients_table(found)]
    if missing:
        parts.append(f"Not checked yet: {', '.join(missing)}.")
    parts += ["## Verdicts", matrix(ran), "What stands in the first column:"]
    parts.append("\n".join(f"- {route}: {what}" for route, what in ROUTES.items()))
    parts += [section(client, results) for client, results in ran]
    PAGE.write_text("\n\n".join(part.strip("\n") for part in parts) + "\n")
