"""What is kept of the clients that `make clients` checks: their locks, their verdicts, and the page made of them."""

import json
import re

import pytest

from clients import report
from clients.environments import NODE_BUILDS, Environment
from clients.registry import CLIENTS, ROUTES, Client
from clients.results import FAILS, THEIRS, UNCHECKED, WORKS, Check, Results

PYTHON = [client for client in CLIENTS.values() if client.packages and not client.node]
NODE = [client for client in CLIENTS.values() if client.node]


@pytest.mark.parametrize("client", PYTHON, ids=lambda client: client.name)
def test_the_lock_of_a_python_client_pins_it_with_hashes_and_names_no_host(client):
    lock = Environment(client).lock.read_text()
    for package in client.packages:
        name, version = re.sub(r"\[.*\]", "", package).split("==")
        assert f"\n{name}=={version} \\\n    --hash=sha256:" in f"\n{lock}"
    assert "://" not in lock


@pytest.mark.parametrize("client", NODE, ids=lambda client: client.name)
def test_the_lock_of_a_node_client_pins_it_and_its_node_and_names_no_host(client):
    text = Environment(client).lock.read_text()
    packages = json.loads(text)["packages"]
    pinned = [package.rpartition("@") for package in client.packages]
    for name, version in [*((n, v) for n, _, v in pinned), *((build, client.node) for build in NODE_BUILDS)]:
        locked = packages[f"node_modules/{name}"]
        assert locked["version"] == version
        assert locked["integrity"].startswith("sha512-")
    assert "resolved" not in text
    assert "://" not in text


@pytest.mark.parametrize("client", CLIENTS.values(), ids=lambda client: client.name)
def test_every_client_has_verdicts_of_the_version_that_is_pinned(client):
    kept = Results.load(client)
    assert kept is not None
    assert {check.route for check in kept.checks} <= ROUTES.keys()
    if client.packages and kept.installed:
        first = client.packages[0]
        assert kept.version == (first.rpartition("@")[2] if client.node else first.partition("==")[2])


def test_the_page_says_what_the_results_say(tmp_path, monkeypatch):
    page = report.PAGE.read_text()
    monkeypatch.setattr(report, "PAGE", tmp_path / "page.md")
    report.write()
    assert page == report.PAGE.read_text()


def results(*checks: Check, **more) -> Results:
    return Results("some", "1.0", checks=list(checks), **more)


def test_a_failure_on_one_base_url_is_a_failure():
    found = results(
        Check("chat", "one", "", {"/a": None, "/b": "no"}), Check("chat", "two", "", {"/a": None, "/b": None})
    )
    assert found.verdict("chat") == FAILS
    assert found.verdict("tools") == UNCHECKED
    assert found.ours() == ["chat: one"]
    assert found.failing()[0].reason == "on /b: no"


def test_a_failure_of_the_client_itself_is_told_and_is_not_ours():
    theirs = Check("chat", "one", "its own", {"/a": "no", "/b": "no"})
    assert results(theirs).verdict("chat") == THEIRS
    assert results(theirs).ours() == []
    # It excuses nothing else.
    assert results(theirs, Check("chat", "two", "", {"/a": "no"})).verdict("chat") == FAILS
    assert results(Check("chat", "one", "its own", {"/a": None})).verdict("chat") == WORKS


def test_a_client_that_cannot_be_installed_says_so_and_one_that_dies_is_a_failure():
    client = Client("some", "Some", "some.py", ("some==1.0",))
    missing = Results.not_installed(client, "no such version")
    assert missing.ours() == []
    assert "no such version" in missing.summary()
    assert results(problem="the process ended").ours() == ["the process ended"]
