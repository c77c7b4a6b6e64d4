"""Measure the CPU cost per request: this gateway, a naive implementation of it, and no gateway.

    make bench [ARGS="--rounds 6"]          # or: .venv/bin/python benchmarks/run.py --quick

The gateways take turns, so that other load on the machine affects all of them, and are compared per round. CPU is
the time of the web process tree; Redis, PostgreSQL and the workers are reported next to it, so that work that was
merely moved is visible. Needs Linux and a C compiler. Exit status 1: a target was missed, or responses were wrong.
"""

import argparse
import os
import resource
import secrets
import shutil
import sys
import tempfile
import time
from base64 import urlsafe_b64encode
from dataclasses import replace
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from benchmarks import machine, report  # noqa: E402 - the checkout has to be on the path
from benchmarks.contestants import NAME, RAW, Contestant, Field  # noqa: E402
from benchmarks.measure import SETTLE, Load, Outcome, PeakMemory, run  # noqa: E402
from benchmarks.routes import ROUTES, UnexpectedResponseError, expected, preceding_chat  # noqa: E402

#: Simultaneous streams that one process must handle.
HELD = 500


def set_environment(field: Field) -> None:
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "gtapi.settings",
        "PYTHONPATH": str(CHECKOUT),
        "GTAPI_HOME": str(field.folder / "home"),
        "DATABASE_URL": field.postgres.database_url,
        "REDIS_URL": field.redis.url,
        "SECRET_KEY": secrets.token_urlsafe(50),
        "KEY_PEPPERS": secrets.token_urlsafe(32),
        "ENCRYPTION_KEYS": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "ALLOWED_HOSTS": "127.0.0.1",
        "LOG_LEVEL": "WARNING",
        "WEB_CONCURRENCY": "1",
    }


def fill_database(port: int) -> str:
    """Create one tenant with one model; returns a key for it."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from inference.models import CatalogEntry, Grant, Provider
    from tenants.models import InferenceKey, Tenant

    call_command("migrate", verbosity=0)
    tenant = Tenant.objects.create(slug="bench", name="Benchmark")
    provider = Provider.objects.create(
        tenant=tenant,
        name="upstream",
        kind="openai_compatible",
        base_url=f"http://127.0.0.1:{port}/v1",
        api_key="bench-raw-credential",
    )
    entry = CatalogEntry.objects.create(
        tenant=tenant, provider=provider, name=NAME, model=RAW, capabilities=["chat", "embed", "speech"]
    )
    scopes = ["inference:chat", "inference:embed", "inference:speech"]
    key, plain = InferenceKey.objects.issue(tenant, "bench", scopes)
    Grant.objects.create(key=key, target_id=entry.pk)
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    return plain


def loads(quick: bool) -> dict[str, Load]:
    short = 1.0 if quick else 3.0
    return {
        "saturated": Load(connections=32, seconds=short),
        "low": Load(connections=1, seconds=short, delay=5),
        "stream": Load(connections=16, seconds=2 if quick else 8, delay=10, chunks=50),
    }


def route_loads(field: Field, gateway: Contestant, provider: Contestant, quick: bool) -> dict[str, Load]:
    """The loads of the other routes, by name, each kind preceded by chats to compare it with.

    Exits if a response is not as expected.
    """
    whole = Load(connections=32, seconds=0.5 if quick else 1.5)
    found: dict[str, Load] = {}
    try:
        for route in ROUTES:
            found.setdefault(preceding_chat(route.kind), whole)
            answer = expected(route, gateway, provider, field.folder)
            found[route.name] = replace(whole, route=route, expected=answer)
    except (UnexpectedResponseError, OSError) as error:
        sys.exit(f"{gateway.name} does not respond as expected: {error}\n{field.log_tails()}")
    return found


def measure(field: Field, contestants: list[Contestant], rounds: int, quick: bool) -> report.Results:
    """Run all rounds, then the simultaneous streams, then measure memory."""
    results = report.Results()
    own, others = machine.cores()
    supporting = field.supporting()
    machine.pin([field.upstream.pid, *(pid for pids in supporting.values() for pid in pids)], others)
    machine.pin([os.getpid()], others)
    for contestant in contestants:
        for warm_up in (Load(connections=8, seconds=1.5), Load(connections=8, seconds=1, delay=5, chunks=10)):
            if flaws := run(contestant, warm_up).flaws():
                sys.exit(f"{contestant.name} does not respond as expected: {flaws}\n{field.log_tails()}")
        machine.pin(contestant.pids, own)
    gateway, *_, provider = contestants
    routes = route_loads(field, gateway, provider, quick)
    results.bytes = {name: load.expected.stat().st_size for name, load in routes.items() if load.expected}
    results.at_rest = at_rest({**supporting, **{one.name: one.pids for one in contestants if one.pids}})
    for number in range(rounds):
        # The order alternates between rounds.
        for contestant in contestants if number % 2 == 0 else contestants[::-1]:
            more = routes if contestant is gateway else {}
            for name, load in {**loads(quick), **more}.items():
                counted = supporting if name == "saturated" and contestant.pids else None
                results.add(contestant, name, run(contestant, load, counted))
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    for contestant in contestants:
        if contestant.pids:
            results.add_held(contestant, *hold(contestant))
    return results


def at_rest(trees: dict[str, list[int]], seconds: float = 4) -> dict[str, float]:
    """CPU milliseconds per second of idle process trees."""
    time.sleep(SETTLE)
    before = {name: machine.cpu_seconds(*pids) for name, pids in trees.items()}
    time.sleep(seconds)
    return {
        name: 1000 * (machine.cpu_seconds(*pids) - before[name]) / seconds for name, pids in trees.items()
    }


def hold(contestant: Contestant) -> tuple[Outcome, float]:
    """Run all streams at once, each with 20 chunks in a second; returns the outcome and the peak memory."""
    with PeakMemory(contestant.pids) as peak:
        outcome = run(contestant, Load(HELD, 0.01, delay=50, chunks=20, requests=HELD))
    return outcome, peak.mib


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rounds", type=int, default=6)
    options.add_argument("--quick", action="store_true", help="one short round, to see whether it works")
    options.add_argument("--write", action="store_true", help="also write benchmarks/results/latest.md")
    chosen = options.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))
    folder = Path(tempfile.mkdtemp(prefix="gtapi-bench-", dir="/tmp"))
    try:
        with Field(folder) as field:
            set_environment(field)
            key = fill_database(field.port)
            field.start_celery()
            contestants = [field.start_gateway(key), field.start_naive(key), field.direct()]
            results = measure(field, contestants, 1 if chosen.quick else chosen.rounds, chosen.quick)
        text, passed = report.written(results, HELD)
    finally:
        if not os.environ.get("KEEPLOGS"):
            shutil.rmtree(folder, ignore_errors=True)
    print(text)
    if chosen.write:
        target = CHECKOUT / "benchmarks" / "results" / "latest.md"
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
