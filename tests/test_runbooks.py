"""Runbooks: what they say holds, the snippets run, and the checklist finds what is wrong."""

import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from files.models import Dataset, File
from gtapi.runbooks.render import RunbookValues, ServedRoute, markdown, render
from gtapi.runbooks.runbook import VERDICTS, runbooks
from inference.models import Conversation
from inference.openapi.routes import routes
from inference.runbooks.checks import CHECKS
from inference.runbooks.values import generic_values, served
from tenants.scopes import PRESETS
from tests import answers, factories
from tests.environment import CHECKOUT
from tests.openapi.provider import curl
from tests.wire import PLAIN

GOLDEN = "openai-sdk-curl"
EACH_RUNBOOK = pytest.mark.parametrize("runbook", runbooks().values(), ids=lambda runbook: runbook.slug)


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs the command and returns what it printed."""

    def run(*arguments: str, key: str = "") -> str:
        monkeypatch.setenv("OPENAI_API_KEY", key)
        call_command("runbook", GOLDEN, *arguments)
        return capsys.readouterr().out

    return run


@pytest.fixture
def world(upstream, world):
    """The provider streams where it is asked to."""

    async def either(wire):
        streamed = wire.received.json.get("stream")
        await (answers.stream(*answers.chunks("Hello there.")) if streamed else answers.answer())(wire)

    upstream.script(world.raw, either)
    return world


def snippets(world, gateway) -> dict[str, str]:
    values = RunbookValues(gateway.base_url, "support", served([]), world.tenant.name, world.tenant.slug)
    return {snippet.title: snippet.code for snippet in render(runbooks()[GOLDEN], values).runbook.snippets}


@EACH_RUNBOOK
def test_its_page_in_the_documentation_is_up_to_date(runbook):
    page = CHECKOUT / "docs" / "runbooks" / f"{runbook.slug}.md"
    assert page.read_text() == markdown(render(runbook, generic_values())), (
        f"run `manage.py runbook {runbook.slug}`"
    )


@EACH_RUNBOOK
def test_it_recommends_a_preset_that_there_is(runbook):
    assert PRESETS[runbook.preset.slug].label == runbook.preset.label


@EACH_RUNBOOK
def test_each_line_of_its_checklist_can_be_run(runbook):
    assert {line.check for line in runbook.checklist} <= CHECKS.keys()


@EACH_RUNBOOK
def test_what_is_not_served_is_said_to_be_missing(runbook):
    there = {f"{route.method.upper()} /v1{route.path}" for route in routes()}
    rendered = render(runbook, generic_values())
    text = markdown(rendered)
    for line in rendered.lines:
        assert (line.served is not None) == (line.call in there)
        assert line.verdict in VERDICTS
        row = next(row for row in text.splitlines() if row.startswith(f"| `{line.call}`"))
        assert ("not available yet" in row) == (line.call not in there)
    for caveat, available in rendered.caveats:
        assert available == (set(caveat.needs) <= there)


def test_every_route_that_calls_a_model_has_a_verdict():
    said = {line.call for line in runbooks()[GOLDEN].routes}
    assert {f"POST /v1{route.path}" for route in routes() if route.capability} <= said


def test_a_tenants_values_are_filled_in(run, world):
    text = run("--tenant", world.tenant.slug, "--base-url", "https://ai.example.com/api/tenant/")
    assert "https://ai.example.com/api/tenant`" in text
    assert '"model": "support"' in text
    assert world.tenant.name in text
    assert "{{" not in text
    assert world.raw not in text
    assert '"model": "fast"' in run("--tenant", world.tenant.slug, "--model", "fast")


def test_a_value_that_would_end_a_text_is_refused(run, world):
    for value in ('a"b', "a'b", "a b", "$(a)", "a\\b", "a`b", ""):
        with pytest.raises(ValueError, match="not allowed in a runbook"):
            render(runbooks()[GOLDEN], RunbookValues("https://x", value, {"GET /v1/models": ServedRoute("")}))
    with pytest.raises(CommandError, match="not allowed in a runbook"):
        run("--tenant", world.tenant.slug, "--model", "a'b")


def test_the_curl_snippet_works_as_it_is_pasted(gateway, world):
    code = snippets(world, gateway)
    assert f'OPENAI_BASE_URL="{gateway.base_url}"' in code["Settings"]
    commands = code["curl"].split("\n\n")
    assert len(commands) == 2
    for command in commands:
        command = command.replace("$OPENAI_BASE_URL", gateway.base_url)  # noqa: PLW2901
        response = PLAIN.request(**curl(command.replace("$OPENAI_API_KEY", world.key.plain)))
        assert response.status_code == 200, response.text


def test_the_python_snippet_runs_as_it_is_pasted(gateway, world):
    environment = {"OPENAI_BASE_URL": gateway.base_url, "OPENAI_API_KEY": world.key.plain}
    ran = subprocess.run(
        [sys.executable, "-c", snippets(world, gateway)["Python"]],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout.splitlines() == ["['fast', 'support']", "Hello there."], ran.stderr


def test_the_checklist_holds(run, gateway, ingest, world):
    for base_url in (gateway.base_url, f"{gateway.base_url}/v1/"):
        said = run("--tenant", world.tenant.slug, "--check", "--base-url", base_url, key=world.key.plain)
        assert "ok       The list of models" in said
        assert "2 listed: fast, support" in said
        assert "support says: Hello there." in said
        assert "a file was ready after" in said
        assert said.endswith("4 checks passed.\n")
        assert world.key.plain not in said


def chatter(world) -> str:
    """A key that may not upload, so that no upload is tried: that takes a worker."""
    scopes = ("models:read", "inference:chat")
    return factories.key(world.tenant, [world.fast, world.support], scopes).plain


def fails(run, gateway, world, *, key: str = "") -> None:
    """Run the checklist, some line of which does not hold."""
    arguments = ("--tenant", world.tenant.slug, "--check", "--base-url", gateway.base_url)
    with pytest.raises(CommandError, match="checks failed"):
        run(*arguments, key=key or chatter(world))


def test_a_leak_of_a_providers_model_is_found(run, gateway, world, capsys):
    # The operator calls the provider's model by a name that every answer holds.
    leaked = factories.catalog(world.provider, "other", model="chat.completion")
    fails(run, gateway, world)
    said = capsys.readouterr().out
    assert "FAILED   No response body or header" in said
    assert f"names {leaked.model}" in said


def test_what_the_model_itself_says_is_no_leak(run, gateway, upstream, world):
    async def tells(wire):
        content = f"I am {world.raw}."
        streamed = wire.received.json.get("stream")
        whole = answers.answer(answers.completion(content))
        await (answers.stream(*answers.chunks(content)) if streamed else whole)(wire)

    upstream.script(world.raw, tells)
    said = run("--tenant", world.tenant.slug, "--check", "--base-url", gateway.base_url, key=chatter(world))
    assert f"support says: I am {world.raw}." in said


@pytest.mark.parametrize("status", [500, 429])
def test_a_chat_that_fails_is_found(run, gateway, upstream, world, capsys, status):
    upstream.script(world.raw, answers.answer(answers.error_body(), status))
    fails(run, gateway, world)
    said = capsys.readouterr().out
    assert "FAILED   A chat request succeeds" in said
    assert "ok       The list of models" in said


def test_a_stream_without_an_end_is_found(run, gateway, upstream, world, capsys):
    async def cut(wire):
        streamed = wire.received.json.get("stream")
        cutting = answers.stream(*answers.chunks("Hello"), done=False, then=answers.CUT, framing=True)
        await (cutting if streamed else answers.answer())(wire)

    upstream.script(world.raw, cut)
    fails(run, gateway, world)
    assert "the stream has no end" in capsys.readouterr().out


def test_a_key_that_may_do_nothing_fails_where_it_should(run, gateway, world, capsys):
    nothing = factories.key(world.tenant, scopes=["models:read", "inference:chat"])
    fails(run, gateway, world, key=nothing.plain)
    said = capsys.readouterr().out
    assert "nothing is granted, and nothing is listed" in said
    assert "the key may chat with nothing" in said
    unlisted = factories.key(world.tenant, [world.fast], ["inference:chat"])
    fails(run, gateway, world, key=unlisted.plain)
    assert "models:read" in capsys.readouterr().out


def test_a_gateway_that_does_not_answer_is_found(run, world, capsys):
    with pytest.raises(CommandError, match="4 of 4 checks failed"):
        run(
            "--tenant",
            world.tenant.slug,
            "--check",
            "--base-url",
            "http://127.0.0.1:9/api/tenant",
            key=world.key.plain,
        )
    assert "no answer (ConnectError)" in capsys.readouterr().out


def test_wrong_ways_to_ask_for_a_check_are_told_apart(run, gateway, upstream, world):
    at = ("--base-url", gateway.base_url)
    other = factories.world(upstream.base_url)
    for arguments, key, complaint in (
        (("--check", *at), "x", "needs --tenant"),
        (("--check", "--tenant", "no-such-tenant", *at), "x", "no tenant no-such-tenant"),
        (("--check", "--tenant", world.tenant.slug), world.key.plain, "needs --base-url"),
        (("--check", "--tenant", world.tenant.slug, *at), "", "OPENAI_API_KEY"),
        (("--check", "--tenant", world.tenant.slug, *at), "gtak_x", "none of the tenant"),
        (("--check", "--tenant", world.tenant.slug, *at), other.key.plain, "none of the tenant"),
    ):
        with pytest.raises(CommandError, match=complaint):
            run(*arguments, key=key)


def test_the_tenants_own_host_is_its_base_url(run, world):
    world.tenant.hosts = ["ai.acme.example"]
    world.tenant.save()
    assert "`https://ai.acme.example/api/tenant`" in run("--tenant", world.tenant.slug)


def nothing_left(world) -> bool:
    """Whether the check has taken away all that it made."""
    made = (File, Dataset.objects.exclude(name="theirs"), Conversation)
    return not any(getattr(rows, "objects", rows).filter(tenant=world.tenant).exists() for rows in made)


@pytest.mark.parametrize(
    ("scopes", "granted", "where"),
    [
        (["files:write", "datasets:write"], False, "by POST /datasets/ds_"),
        (["files:write"], True, "by POST /datasets/ds_"),
        (["files:write", "conversations:write"], False, "by POST /conversations/files"),
    ],
)
def test_an_upload_is_tried_where_the_key_may_upload_and_taken_away(
    run, gateway, ingest, world, scopes, granted, where
):
    key = factories.key(world.tenant, [world.fast], ["models:read", "inference:chat", *scopes])
    factories.dataset(world.tenant, "theirs", keys=[key.row] if granted else [])
    said = run("--tenant", world.tenant.slug, "--check", "--base-url", gateway.base_url, key=key.plain)
    assert where in said
    assert said.endswith("4 checks passed.\n")
    assert nothing_left(world)


@pytest.mark.parametrize(
    ("scopes", "why"),
    [
        (["files:read", "datasets:write"], "lacks the scope files:write"),
        (["files:write"], "no dataset is granted to the key"),
    ],
)
def test_uploads_are_not_tried_with_a_key_that_cannot_upload(run, gateway, world, scopes, why):
    key = factories.key(world.tenant, [world.fast], ["models:read", "inference:chat", *scopes])
    said = run("--tenant", world.tenant.slug, "--check", "--base-url", gateway.base_url, key=key.plain)
    assert why in said
    assert said.endswith("3 checks passed, 1 skipped.\n")


def test_an_upload_that_fails_is_found_and_taken_away(run, gateway, ingest, upstream, world, capsys):
    embedder = factories.catalog(world.provider, "embedder", capabilities=["embed"])
    upstream.script(embedder.model, answers.answer(answers.error_body(), 400))
    world.tenant.embedding = "embedder"
    world.tenant.save()
    fails(run, gateway, world, key=world.key.plain)
    said = capsys.readouterr().out
    assert "FAILED   If the key may upload" in said
    assert "failed: The dataset's embedding model rejected the file's text." in said
    assert nothing_left(world)
