"""`manage.py apply`: what a file makes of the database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Thread

import httpx
import pytest
from django.core.management.base import CommandError
from django.db import connections, transaction

from files.models import Dataset
from inference.models import Agent, CatalogEntry, Provider
from tenants.models import InferenceKey, Tenant
from tests import answers, factories
from tests.environment import CHECKOUT
from tests.inference.commands import manage, run
from tests.waiting import another_connection_waits, eventually

WHOLE = """\
    tenants:
      - slug: {slug}
        name: Acme Inc
        hosts: [acme.example.com]
        providers:
          - {{name: main, kind: openai_compatible, base_url: "https://llm.example.com/v1",
             api_key: "${{UPSTREAM_KEY}}", headers: {{X-Team: "${{TEAM}}"}}, stream_usage: false,
             timeouts: {{connect: 1, first_byte: 2, between_chunks: 3, total: 4.5}}}}
        catalog:
          - {{name: fast, provider: main, model: raw/fast, capabilities: [chat]}}
          - {{name: embedder, provider: main, model: raw-embed, capabilities: [embed], published: false,
             query_prefix: "query: ", passage_prefix: "passage: ", query_input_type: q, passage_input_type: p}}
        datasets:
          - {{name: handbook, title: "The handbook", embedding: embedder, metadata: {{team: people}}}}
        agents:
          - {{alias: support, catalog: fast, instructions: "You are …", datasets: [handbook],
             parameters: {{temperature: 0.2}}, forced: {{max_tokens: 500}}, published: true}}
        keys:
          - {{name: web, preset: openai-chat-client, scopes: ["files:read"], allow: [support, fast],
             datasets: [handbook], expires_at: 2099-12-31}}
"""


@pytest.fixture
def whole(configuration, slug, monkeypatch) -> str:
    """The text of a file with a bit of everything, applied."""
    monkeypatch.setenv("UPSTREAM_KEY", "sk-first")
    monkeypatch.setenv("TEAM", "red")
    text = WHOLE.format(slug=slug)
    configuration.apply(text)
    return text


def key_of(slug: str, name: str = "web") -> InferenceKey:
    return InferenceKey.objects.get(tenant__slug=slug, name=name, revoked_at=None)


def test_file_creates_every_record_it_names(configuration, slug, whole):
    tenant = Tenant.objects.get(slug=slug)
    assert (tenant.name, tenant.hosts, tenant.active) == ("Acme Inc", ["acme.example.com"], True)
    provider = Provider.objects.get(tenant=tenant, name="main")
    assert (provider.base_url, provider.api_key) == ("https://llm.example.com/v1", "sk-first")
    assert (provider.headers, provider.stream_usage) == ({"X-Team": "red"}, False)
    timeouts = (provider.connect_timeout, provider.first_byte_timeout, provider.between_chunks_timeout)
    assert (*timeouts, provider.total_timeout) == (1, 2, 3, 4.5)
    embedder = CatalogEntry.objects.get(tenant=tenant, name="embedder")
    assert (embedder.model, embedder.capabilities, embedder.published) == ("raw-embed", ["embed"], False)
    assert (embedder.query_prefix, embedder.passage_prefix) == ("query: ", "passage: ")
    assert (embedder.query_input_type, embedder.passage_input_type) == ("q", "p")
    agent = Agent.objects.get(tenant=tenant, name="support")
    assert (agent.catalog.name, agent.instructions, agent.live.number) == ("fast", "You are …", 1)
    assert (agent.parameters, agent.forced) == ({"temperature": 0.2}, {"max_tokens": 500})
    assert [dataset.name for dataset in agent.datasets.all()] == ["handbook"]
    key = key_of(slug)
    assert key.scopes == ["models:read", "inference:chat", "files:read"]
    assert key.expires_at == datetime(2099, 12, 31, tzinfo=UTC)
    assert {grant.target.name for grant in key.grants.all()} == {"support", "fast"}
    assert [grant.dataset.name for grant in key.dataset_grants.all()] == ["handbook"]


def test_a_file_applied_twice_changes_nothing(configuration, slug, whole):
    before = key_of(slug).public_id
    assert configuration.apply(whole) == "No changes.\n"
    assert configuration.apply(whole, "--prune", "--yes", "--dry-run") == "No changes.\n"
    assert Agent.objects.get(tenant__slug=slug, name="support").versions.count() == 1
    assert key_of(slug).public_id == before


def test_each_change_is_a_line_that_names_its_fields(configuration, slug, whole):
    changed = (
        whole.replace("Acme Inc", "Acme")
        .replace("llm.example.com", "other.example.com")
        .replace("${UPSTREAM_KEY}", "sk-second")
        .replace("total: 4.5", "total: 9")
        .replace("raw/fast", "raw/faster")
        .replace("embedding: embedder, ", "")
        .replace("team: people", "team: staff")
        .replace("0.2", "0.3")
        .replace("2099-12-31", "2098-12-31")
        .replace("[support, fast]", "[support]")
    )
    printed = configuration.apply(changed)
    assert printed.splitlines() == [
        f"~ tenant {slug}: name",
        f"~ provider {slug}/main: base_url, api_key, timeouts.total",
        f"~ catalog {slug}/fast: model",
        f"~ dataset {slug}/handbook: embedding, metadata",
        f"~ agent {slug}/support: parameters (version 2)",
        f"~ key {slug}/web: expires_at, allow",
        "0 created, 6 changed, 0 deleted.",
    ]
    assert configuration.apply(changed) == "No changes.\n"


def test_new_embedding_is_requested_by_the_operator_and_an_unchanged_one_stays(configuration, slug, whole):
    datasets = Dataset.objects.filter(tenant__slug=slug, name="handbook")
    datasets.update(embedding_requested_by=key_of(slug))
    configuration.apply(whole.replace("team: people", "team: staff"))
    assert datasets.get().embedding_requested_by == key_of(slug)
    configuration.apply(whole.replace("embedding: embedder, ", ""))
    assert datasets.get().embedding_requested_by is None


def test_retrieval_settings_of_an_agent_are_applied_and_versioned(configuration, slug, whole):
    more = "passages: 3, passage_tokens: 900, relevance: 1, unknown_answer: Ask HR."
    changed = whole.replace("alias: support,", f"alias: support, {more},")
    fields = "passages, passage_tokens, relevance, unknown_answer"
    assert configuration.apply(changed).splitlines()[0] == f"~ agent {slug}/support: {fields} (version 2)"
    assert configuration.apply(changed) == "No changes.\n"
    live = Agent.objects.get(tenant__slug=slug, name="support").live
    given = (live.passages, live.passage_tokens, live.relevance, live.unknown_answer)
    assert given == (3, 900, 1.0, "Ask HR.")


def test_dry_run_prints_the_same_and_changes_nothing(configuration, slug):
    text = f"tenants: [{{slug: {slug}, keys: [{{name: web}}]}}]"
    expected = [f"+ tenant {slug}", f"+ key {slug}/web"]
    dry = configuration.apply(text, "--dry-run", "--show-new-keys").splitlines()
    assert dry == [*expected, "Dry run: 2 to create, 0 to change, 0 to delete. Nothing was changed."]
    assert not Tenant.objects.filter(slug=slug).exists()
    assert configuration.apply(text).splitlines()[:2] == expected


def test_omitted_field_is_reset_to_its_default(configuration, slug, whole):
    configuration.apply(f"""\
        tenants:
          - slug: {slug}
            providers: [{{name: main, base_url: "https://llm.example.com/v1"}}]
            catalog: [{{name: fast, provider: main, model: raw/fast}}]
            agents: [{{alias: support, catalog: fast}}]
            keys: [{{name: web}}]
        """)
    tenant = Tenant.objects.get(slug=slug)
    assert (tenant.name, tenant.hosts) == (slug, [])
    provider = Provider.objects.get(tenant=tenant)
    assert (provider.headers, provider.stream_usage, provider.total_timeout) == ({}, True, 600)
    agent = Agent.objects.get(tenant=tenant)
    assert (agent.instructions, agent.parameters, agent.forced) == ("", {}, {})
    assert not agent.datasets.exists()
    key = key_of(slug)
    assert (key.scopes, key.expires_at) == (["models:read", "inference:chat"], None)
    assert not key.grants.exists()
    assert not key.dataset_grants.exists()


def test_omitted_credential_is_unchanged(configuration, slug, whole):
    kept = whole.replace('api_key: "${UPSTREAM_KEY}"', "api_key: null").replace('"${TEAM}"', "null")
    assert configuration.apply(kept) == "No changes.\n"
    without = whole.replace('api_key: "${UPSTREAM_KEY}",', "").replace('X-Team: "${TEAM}"', "x-team: null")
    configuration.apply(without)
    provider = Provider.objects.get(tenant__slug=slug)
    assert provider.api_key == "sk-first"
    assert provider.headers == {"x-team": "red"}


def test_an_empty_credential_clears_the_stored_one(configuration, slug, whole):
    printed = configuration.apply(whole.replace("${UPSTREAM_KEY}", ""))
    assert printed.splitlines()[0] == f"~ provider {slug}/main: api_key"
    assert Provider.objects.get(tenant__slug=slug).api_key == ""


def test_records_missing_from_the_file_are_unchanged(configuration, slug, whole):
    assert configuration.apply(f"tenants: [{{slug: {slug}, name: Acme Inc, hosts: [acme.example.com]}}]") == (
        "No changes.\n"
    )
    assert configuration.apply("tenants: []") == "No changes.\n"


def test_new_record_may_reference_an_existing_one(configuration, slug, whole):
    printed = configuration.apply(f"""\
        tenants:
          - slug: {slug}
            name: Acme Inc
            hosts: [acme.example.com]
            agents: [{{alias: sales, catalog: fast, datasets: [handbook]}}]
            keys: [{{name: shop, allow: [sales, support], datasets: [handbook]}}]
        """)
    assert printed.splitlines()[:2] == [f"+ agent {slug}/sales", f"+ key {slug}/shop"]


def test_keys_are_shown_once_and_only_on_request(configuration, slug, gateway):
    quiet = configuration.apply(f"tenants: [{{slug: {slug}, keys: [{{name: quiet}}]}}]")
    assert "gtak_" not in quiet
    assert "--show-new-keys" in quiet
    text = f"tenants: [{{slug: {slug}, keys: [{{name: quiet}}, {{name: loud}}]}}]"
    shown = configuration.apply(text, "--show-new-keys").splitlines()[-1]
    name, plain = shown.split()
    assert name == f"{slug}/loud"
    models = httpx.get(f"{gateway.base_url}/models", headers={"authorization": f"Bearer {plain}"})
    assert models.json() == {"object": "list", "data": []}
    assert configuration.apply(text, "--show-new-keys") == "No changes.\n"


def test_an_agent_is_published_only_when_it_differs(configuration, slug, whole):
    agent = Agent.objects.get(tenant__slug=slug)
    Agent.objects.filter(pk=agent.pk).update(instructions="A draft of somebody")
    printed = configuration.apply(whole)
    assert printed.splitlines()[0] == f"~ agent {slug}/support: instructions"
    assert agent.versions.count() == 1

    off = configuration.apply(whole.replace("published: true", "published: false"))
    assert off.splitlines()[0] == f"~ agent {slug}/support: published (unpublished)"
    on = configuration.apply(whole)
    assert on.splitlines()[0] == f"~ agent {slug}/support: published (version 2)"
    assert agent.versions.first().published_by == "apply"


def test_changed_draft_does_not_affect_clients(configuration, slug, whole):
    text = whole.replace("You are …", "You will be …").replace("published: true", "published: keep")
    configuration.apply(text)
    agent = Agent.objects.get(tenant__slug=slug)
    assert (agent.instructions, agent.live.instructions) == ("You will be …", "You are …")
    assert configuration.apply(text) == "No changes.\n"


def test_a_change_reaches_a_running_gateway(configuration, slug, gateway, upstream):
    raw = factories.unique("raw")
    upstream.script(raw, answers.answer())
    text = f"""\
        tenants:
          - slug: {slug}
            providers: [{{name: main, base_url: "{upstream.base_url}"}}]
            catalog: [{{name: fast, provider: main, model: {raw}}}]
            agents: [{{alias: support, catalog: fast, instructions: Say one.}}]
            keys: [{{name: web, allow: [support]}}]
        """
    plain = configuration.apply(text, "--show-new-keys").split()[-1]

    def instructions() -> str:
        answered = httpx.post(
            f"{gateway.base_url}/chat/completions",
            headers={"authorization": f"Bearer {plain}"},
            json={"model": "support", "messages": [{"role": "user", "content": "Hi"}]},
            timeout=30,
        )
        assert answered.status_code == 200, answered.text
        return upstream.last(raw).json["messages"][0]["content"]

    assert instructions() == "Say one."
    configuration.apply(text.replace("Say one.", "Say two."))
    deadline = datetime.now(UTC) + timedelta(seconds=10)
    while instructions() != "Say two.":
        assert datetime.now(UTC) < deadline


def test_insignificant_order_and_case_are_not_changes(configuration, slug, whole):
    same = (
        whole.replace("[acme.example.com]", "[ACME.example.com., acme.example.com]")
        .replace("https://llm.example.com/v1", "https://llm.example.com/v1/")
        .replace("[support, fast]", "[fast, support, fast]")
        .replace("2099-12-31", '"2099-12-31T01:00:00+01:00"')
    )
    assert configuration.apply(same) == "No changes.\n"


def test_true_differs_from_one(configuration, slug, whole):
    configuration.apply(whole.replace("max_tokens: 500", "logprobs: true"))
    printed = configuration.apply(whole.replace("max_tokens: 500", "logprobs: 1"))
    assert printed.splitlines()[0] == f"~ agent {slug}/support: forced (version 3)"
    assert Agent.objects.get(tenant__slug=slug).live.forced["logprobs"] is not True


def test_variables_may_stand_for_numbers_and_switches(configuration, slug, whole, monkeypatch):
    monkeypatch.setenv("SECONDS", "7.5")
    monkeypatch.setenv("SWITCH", "no")
    configuration.apply(
        whole.replace("total: 4.5", 'total: "${SECONDS}"').replace(
            "published: true", 'published: "${SWITCH}"'
        )
    )
    assert Provider.objects.get(tenant__slug=slug).total_timeout == 7.5
    assert not Agent.objects.get(tenant__slug=slug).published


def test_dollar_sign_can_be_escaped(configuration, slug, whole):
    configuration.apply(whole.replace("You are …", "Costs $5, $${UPSTREAM_KEY}, $$$${X} and $HOME"))
    agent = Agent.objects.get(tenant__slug=slug)
    assert agent.instructions == "Costs $5, ${UPSTREAM_KEY}, $$${X} and $HOME"


def test_a_value_of_the_environment_is_never_read_as_yaml(configuration, slug, whole, monkeypatch):
    monkeypatch.setenv("UPSTREAM_KEY", 'x", headers: {X-Evil: "${TEAM}"} #')
    configuration.apply(whole)
    provider = Provider.objects.get(tenant__slug=slug)
    assert provider.api_key == 'x", headers: {X-Evil: "${TEAM}"} #'
    assert provider.headers == {"X-Team": "red"}


def test_two_applies_wait_for_each_other(configuration, slug):
    file = configuration.write(f"tenants: [{{slug: {slug}, keys: [{{name: web}}]}}]")
    done = []

    def apply() -> None:
        done.append(manage("apply", file))

    threads = [Thread(target=apply) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.returncode for process in done] == [0, 0, 0], [process.stderr for process in done]
    assert sum(process.stdout == "No changes.\n" for process in done) == 2
    assert InferenceKey.objects.filter(tenant__slug=slug).count() == 1


def test_a_file_may_come_from_standard_input(slug):
    text = f"tenants: [{{slug: {slug}, name: Ünïcode 🚀}}]"
    done = manage("apply", "-", text=text)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"+ tenant {slug}")
    assert Tenant.objects.get(slug=slug).name == "Ünïcode 🚀"


def test_names_are_separate_for_each_tenant(configuration, slug):
    other = factories.unique("other")
    configuration.apply(f"""\
        tenants:
          - slug: {slug}
            providers: [{{name: main, base_url: "http://a.example/v1"}}]
            catalog: [{{name: fast, provider: main, model: one}}]
          - slug: {other}
            providers: [{{name: main, base_url: "http://b.example/v1"}}]
            catalog: [{{name: fast, provider: main, model: two}}]
        """)
    urls = {row.tenant.slug: row.provider.base_url for row in CatalogEntry.objects.filter(name="fast")}
    assert (urls[slug], urls[other]) == ("http://a.example/v1", "http://b.example/v1")


def test_tenant_can_be_disabled(configuration, slug):
    configuration.apply(f"tenants: [{{slug: {slug}}}]")
    printed = configuration.apply(f"tenants: [{{slug: {slug}, active: false}}]")
    assert printed.splitlines()[0] == f"~ tenant {slug}: active"
    assert not Tenant.objects.get(slug=slug).active


def test_large_files_take_few_queries_a_record(configuration, slug, django_assert_max_num_queries):
    agents = "\n".join(f"              - {{alias: agent-{number}, catalog: fast}}" for number in range(50))
    text = f"""\
        tenants:
          - slug: {slug}
            providers: [{{name: main, base_url: "http://a.example/v1"}}]
            catalog: [{{name: fast, provider: main, model: one}}]
            agents:
{agents}
        """
    configuration.apply(text)
    with django_assert_max_num_queries(50 * 10 + 40):
        assert run("apply", str(configuration.file)) == "No changes.\n"


def test_example_of_the_guide_applies(configuration, slug, monkeypatch):
    monkeypatch.setenv("UPSTREAM_KEY", "sk-upstream")
    guide = (CHECKOUT / "docs" / "configuration.md").read_text()
    example = guide.partition("```yaml\n")[2].partition("```")[0]
    printed = configuration.apply(example.replace("slug: acme", f"slug: {slug}"), "--dry-run")
    shown = guide.partition("    + tenant acme")[2].partition("\n\n")[0].split("\n")[1:7]
    assert printed.replace(slug, "acme").splitlines()[1:7] == [line.strip() for line in shown]


def test_file_settings_of_a_tenant_are_applied(configuration, slug, whole):
    def applied(files: str, more: str = "") -> str:
        return configuration.apply(
            whole.replace("        hosts:", f"        files: {files}\n{more}        hosts:", 1)
        )

    printed = applied(
        "{embedding: embedder, max_file_bytes: 1000, max_files: 0, max_dataset_files: 7, max_datasets: 8}",
        "        record_answers: true\n",
    )
    limits = "files.max_file_bytes, files.max_files, files.max_dataset_files, files.max_datasets"
    changed = f"files.embedding, {limits}, record_answers"
    assert printed.splitlines()[0] == f"~ tenant {slug}: {changed}"
    tenant = Tenant.objects.get(slug=slug)
    assert (tenant.embedding, tenant.transcription, tenant.record_answers) == ("embedder", "", True)
    assert (tenant.max_file_bytes, tenant.max_files, tenant.max_stored_bytes) == (1000, 0, None)
    assert (tenant.max_dataset_files, tenant.max_datasets) == (7, 8)
    printed = applied(
        "{embedding: embedder, max_file_bytes: 1000, max_stored_bytes: 5, max_dataset_files: 7}"
    )
    gone = "files.max_files, files.max_stored_bytes, files.max_datasets, record_answers"
    assert f"~ tenant {slug}: {gone}" in printed
    configuration.apply(whole)
    tenant.refresh_from_db()
    assert (tenant.embedding, tenant.max_file_bytes, tenant.max_stored_bytes) == ("", None, None)
    assert tenant.max_dataset_files is None


def test_the_datasets_of_conversations_follow_the_tenants_embedding(configuration, slug, whole):
    tenant = Tenant.objects.get(slug=slug)
    hidden = factories.dataset(tenant, hidden=True)
    others = factories.dataset(factories.tenant(), hidden=True)
    named = whole.replace("name: Acme Inc\n", "name: Acme Inc\n        files: {embedding: embedder}\n")
    for text, embedding in ((named, "embedder"), (whole, "")):
        configuration.apply(text)
        hidden.refresh_from_db()
        assert (hidden.embedding, hidden.indexed_embedding) == (embedding, "")
    others.refresh_from_db()
    assert others.embedding == ""


def apply_while(configuration, text: str, change: Callable[[], object]) -> str:
    """Return the output of `apply` when a concurrent change is committed while it waits for the lock."""

    def applied() -> str:
        try:
            return configuration.apply(text)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            change()
            applying = pool.submit(applied)
            eventually(another_connection_waits)
        return applying.result(20)


def test_name_taken_concurrently_by_a_client_is_refused(configuration, slug, whole):
    tenant = Tenant.objects.get(slug=slug)
    more = whole.replace("datasets:\n", "datasets:\n          - {name: prices}\n", 1)
    with pytest.raises(CommandError) as refusal:
        apply_while(configuration, more, lambda: factories.dataset(tenant, "prices", by_client=True))
    assert Dataset.objects.get(tenant=tenant, name="prices").by_client
    with pytest.raises(CommandError) as before:
        configuration.apply(more)
    assert str(refusal.value) == str(before.value)
    assert "tenants[0].datasets[0]" in str(before.value)


def test_row_deleted_concurrently_is_created_again(configuration, slug, whole):
    dataset = Dataset.objects.get(tenant__slug=slug, name="handbook")
    titled = whole.replace("The handbook", "Our handbook")
    printed = apply_while(configuration, titled, dataset.delete)
    assert f"+ dataset {slug}/handbook" in printed
    assert Dataset.objects.get(tenant__slug=slug, name="handbook").title == "Our handbook"
    assert configuration.apply(titled) == "No changes.\n"
