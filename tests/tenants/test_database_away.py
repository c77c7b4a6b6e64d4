"""While PostgreSQL is unavailable, cached keys are served for a limited time, then requests fail with 503."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from gtapi.stack.postgres import Postgres
from tests import answers, environment
from tests.wire import chat, envelope

STALE_SECONDS = 4.0
CONFIGURATION = """
tenants:
  - slug: acme
    name: Acme
    providers: [{name: main, kind: openai_compatible, base_url: "%s"}]
    catalog: [{name: fast, provider: main, model: raw-while-away, capabilities: [chat]}]
    datasets: [{name: handbook}]
    agents: [{alias: guide, catalog: fast, datasets: [handbook]}]
"""
ALLOW = ("--allow", "fast", "--allow", "guide")


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A dedicated PostgreSQL, which the test can stop."""
    folder = environment.ROOT / "pg2"
    folder.mkdir(mode=0o700)
    server = Postgres(folder / "data", folder, environment.LOGS / "postgres2.log", durable=False)
    with server:
        yield server


def manage(server: Postgres, *arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=environment.CHECKOUT,
        env={**os.environ, "DATABASE_URL": server.database_url},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_cached_keys_are_served_for_a_limited_time(postgres, start_gateway, upstream):
    upstream.script("raw-while-away", answers.answer())
    manage(postgres, "migrate", "--verbosity", "0")
    manage(postgres, "apply", "-", stdin=CONFIGURATION % upstream.base_url)
    warm, cold = (
        {"authorization": f"Bearer {json.loads(made)['key']}"}
        for made in (
            manage(postgres, "create_key", "--tenant", "acme", "--name", n, *ALLOW, "--json")
            for n in ("warm", "cold")
        )
    )
    gateway = start_gateway(
        DATABASE_URL=postgres.database_url,
        DATABASE_POOL_TIMEOUT="0.5",
        POLICY_STALE_SECONDS=str(STALE_SECONDS),
    )

    def ask(headers: dict[str, str], model: str = "fast") -> httpx.Response:
        return httpx.post(
            f"{gateway.base_url}/chat/completions", json=chat(model), headers=headers, timeout=30
        )

    assert ask(warm).status_code == 200
    assert ask(warm, "guide").status_code == 200
    postgres.stop()
    assert ask(warm).status_code == 200
    # An agent with datasets needs the database.
    envelope(ask(warm, "guide"), 503, "service_unavailable")
    envelope(ask(cold), 503, "service_unavailable")
    time.sleep(STALE_SECONDS + 1)
    envelope(ask(warm), 503, "service_unavailable")
    assert httpx.get(f"{gateway.url}/readyz", timeout=30).status_code == 503
    assert httpx.get(f"{gateway.url}/healthz").status_code == 200
    postgres.start()
    postgres.wait_ready()
    deadline = time.monotonic() + 30
    while ask(cold).status_code != 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert ask(cold).status_code == 200
    assert ask(warm).status_code == 200
