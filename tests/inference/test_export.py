"""`manage.py export`: the shape that `apply` reads, without secrets, and nothing lost on the way."""

import random
import re
from datetime import timedelta

import pytest
import yaml
from django.core.management.base import CommandError
from django.utils import timezone

from files.models import Dataset, DatasetGrant
from gtapi.model_settings import by_section
from inference.models import Agent, Capability, CatalogEntry, Provider
from tenants.models import InferenceKey, Tenant
from tenants.scopes import PRESETS, SCOPES
from tests import factories
from tests.inference.commands import manage, run

#: What YAML, the variables or people could take for something else.
PIECES = (
    "${X}", "$${", "$", "{", "}", "no", "123", "1.5", "2030-01-01", "~", "null", "a: b", "# c", "- d", "'",
    '"', "\\", "\n", "\n\n", "  ", " \n", "\t", "\r\n", "\r", "\x85", "\u2028", "\ufeff", "\x07", "\x7f", "é",
    "🚀", "|", ">", "%", "@", "`", "&x", "*x", "!!x", "<<", "=", "? ", ",", "[", "]", "word", "12:30:45", "0o17",
    "1_000", "\ue000", "\U0010fffe", "long words in a row " * 12,
)  # fmt: skip


class Chance:
    """Random things, the same ones for the same number."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def text(self) -> str:
        return "".join(self.random.choices(PIECES, k=self.random.randrange(8)))

    def json(self, depth: int = 0):
        kind = self.random.randrange(9 if depth < 3 else 7)
        if kind == 7:
            return [self.json(depth + 1) for _ in range(self.random.randrange(4))]
        if kind == 8:
            return {self.text(): self.json(depth + 1) for _ in range(self.random.randrange(4))}
        simple = (None, True, False, self.random.randrange(-(10**20), 10**20), self.random.uniform(-1e9, 1e9))
        return (*simple, self.random.choice((1.0, 1e30, 1e-7, 0)), self.text())[kind]

    def some(self, options):
        return [option for option in options if self.random.random() < 0.5]


def fill(slug: str, seed: int) -> Tenant:
    """A tenant with everything in it that the models allow, at random."""
    chance = Chance(seed)
    tenant = factories.tenant(
        slug=slug,
        name=(chance.text().strip() or "x")[:200],
        hosts=chance.some(["a.example", "b.example"]),
        active=chance.random.random() < 0.5,
        max_file_bytes=chance.random.choice([None, 0, 10_000]),
        max_files=chance.random.choice([None, 0, 5]),
        max_stored_bytes=chance.random.choice([None, 10**12]),
        max_dataset_files=chance.random.choice([None, 0, 7]),
        max_datasets=chance.random.choice([None, 3]),
        record_answers=chance.random.random() < 0.5,
    )
    providers = [
        factories.provider(
            tenant,
            f"https://{number}.example/v1",
            headers=chance.random.choice([{}, {"X-Secret": "sk-header", "X-More": "null"}]),
            total_timeout=chance.random.choice([600, 7.25, 30]),
            stream_usage=chance.random.random() < 0.5,
        )
        for number in range(2)
    ]
    entries = [
        factories.catalog(
            chance.random.choice(providers),
            f"model/{number}:x",
            chance.text().strip()[:200] or "raw",
            ["chat", *chance.some(set(Capability.values) - {"chat"})],
            published=chance.random.random() < 0.5,
            query_prefix=chance.random.choice(["", "query: "]),
            passage_input_type=chance.random.choice(["", "document"]),
            unrelated_similarity=chance.random.choice([0, 0.25]),
        )
        for number in range(3)
    ]
    for name, able in (("embedding", "embed"), ("transcription", "transcribe")):
        setattr(
            tenant, name, chance.random.choice(["", *(e.name for e in entries if able in e.capabilities)])
        )
    tenant.save()
    datasets = [
        Dataset.objects.create(
            tenant=tenant,
            name=f"data-{number}",
            title=chance.text()[:256],
            embedding="",
            metadata={chance.text()[:64]: chance.text()[:512]} if number else {},
        )
        for number in range(3)
    ]
    # The dataset of a conversation is not part of the configuration.
    Dataset.objects.create(tenant=tenant, name=factories.unique("conv"), hidden=True)
    agents = []
    for number in range(4):
        agent = factories.agent(
            chance.random.choice(entries),
            f"agent-{number}",
            published=False,
            instructions=chance.text(),
            parameters={"stop": chance.json(), chance.text(): chance.json()},
            forced={chance.text(): chance.json()},
            passages=chance.random.choice([5, 1, 50]),
            passage_tokens=chance.random.choice([1500, 50, 1_000_000]),
            relevance=chance.random.choice([0, 1, 0.25]),
            unknown_answer=chance.text(),
        )
        agent.datasets.set(chance.some(datasets))
        if number:
            agent.publish()
        if number == 3:
            Agent.objects.filter(pk=agent.pk).update(instructions="A draft\n")
        agents.append(agent)
    for number in range(4):
        may = chance.random.choice(list(PRESETS.values())).scopes if number % 2 else chance.some(SCOPES)
        expires = timezone.now() + timedelta(seconds=chance.random.uniform(-1e6, 1e8)) if number else None
        key = factories.key(tenant, chance.some([*agents, *entries]), may, expires_at=expires).row
        DatasetGrant.objects.bulk_create(
            DatasetGrant(key=key, dataset=dataset) for dataset in chance.some(datasets)
        )
    factories.key(tenant).row.revoke()
    return tenant


def state(slug: str) -> dict[str, list]:
    """Return the content of all rows of a tenant, without ids that differ between databases."""
    tenant = Tenant.objects.get(slug=slug)
    agents = Agent.objects.filter(tenant=tenant).order_by("name")
    return {
        "tenant": [
            tenant.name,
            set(tenant.hosts),
            tenant.active,
            tenant.embedding,
            tenant.transcription,
            tenant.max_file_bytes,
            tenant.max_files,
            tenant.max_stored_bytes,
            tenant.max_dataset_files,
            tenant.max_datasets,
            tenant.record_answers,
        ],
        "providers": list(
            tenant.providers.order_by("name").values_list("name", "base_url", "total_timeout", "stream_usage")
        ),
        "catalog": list(
            tenant.targets.exclude(catalogentry=None)
            .order_by("name")
            .values_list(
                "name",
                "catalogentry__model",
                "catalogentry__provider__name",
                "catalogentry__published",
                *(f"catalogentry__{side}" for side in by_section(CatalogEntry.SETTINGS)["Embedding"]),
            )
        ),
        "datasets": list(
            tenant.datasets.visible().order_by("name").values_list("name", "title", "embedding", "metadata")
        ),
        "agents": [
            (
                a.name,
                a.catalog.name,
                a.instructions,
                a.parameters,
                a.forced,
                {d.name for d in a.datasets.all()},
                (a.passages, a.passage_tokens, a.relevance, a.unknown_answer),
            )
            for a in agents
        ],
        "keys": [
            (
                k.name,
                set(k.scopes),
                k.expires_at,
                {g.target.name for g in k.grants.all()},
                {g.dataset.name for g in k.dataset_grants.all()},
            )
            for k in InferenceKey.objects.filter(tenant=tenant, revoked_at=None).order_by("name")
        ],
    }


@pytest.mark.parametrize("seed", range(12))
def test_an_export_applied_to_its_own_database_changes_nothing(configuration, slug, seed):
    fill(slug, seed)
    exported = run("export", "--tenant", slug)
    assert configuration.apply(exported, "--prune", "--dry-run") == "No changes.\n"
    assert configuration.apply(exported, "--prune") == "No changes.\n"
    assert run("export", "--tenant", slug) == exported


@pytest.mark.parametrize("seed", range(12, 18))
def test_an_export_makes_the_same_tenant_elsewhere(configuration, slug, seed):
    tenant = fill(slug, seed)
    for provider in Provider.objects.filter(tenant=tenant):
        provider.headers = {}
        provider.save()
    exported, before = run("export", "--tenant", slug), state(slug)
    tenant.delete()
    configuration.apply(exported)
    assert state(slug) == before


def test_export_contains_no_secrets(slug):
    tenant = factories.tenant(slug=slug)
    factories.provider(tenant, "https://a.example/v1", name="main", headers={"X-Key": "sk-in-a-header"})
    key = factories.key(tenant, name="web")
    exported = run("export", "--tenant", slug)
    assert yaml.safe_load(exported)["tenants"][0]["providers"] == [
        {"name": "main", "base_url": "https://a.example/v1", "headers": {"X-Key": None}}
    ]
    for secret in (factories.CREDENTIAL, "sk-in-a-header", key.plain, key.row.public_id):
        assert secret not in exported


def test_defaults_are_left_out_and_text_stays_readable(slug):
    over = factories.catalog(
        factories.provider(factories.tenant(slug=slug, name=slug), "http://a/v1", name="main"), "fast", "raw"
    )
    factories.agent(over, "support", instructions="You are kind.\n\n  Answer: ${X}\n")
    factories.key(over.tenant, [over], PRESETS["openai-chat-client"].scopes, name="web")
    assert run("export", "--tenant", slug) == (
        f"tenants:\n  - slug: {slug}\n"
        "    providers:\n      - name: main\n        base_url: http://a/v1\n"
        "    catalog:\n      - name: fast\n        provider: main\n        model: raw\n"
        "    agents:\n      - alias: support\n        catalog: fast\n        instructions: |\n"
        "          You are kind.\n\n            Answer: $${X}\n"
        "    keys:\n      - name: web\n        allow:\n          - fast\n"
    )  # fmt: skip


def test_fake_provider_needs_neither_address_nor_credential(configuration, slug):
    text = f"""\
        tenants:
          - slug: {slug}
            name: Acme
            providers: [{{name: fake, kind: fake}}]
            catalog: [{{name: fast, provider: fake, model: "fake-chat?delay=1", capabilities: [chat, embed]}}]
    """
    configuration.apply(text)
    (exported,) = yaml.safe_load(run("export", "--tenant", slug))["tenants"]
    assert exported["providers"] == [{"name": "fake", "kind": "fake"}]
    assert "~" not in configuration.apply(text)


def test_tenants_can_be_chosen(slug):
    other = factories.unique("other")
    factories.tenant(slug=slug)
    factories.tenant(slug=other)
    chosen = yaml.safe_load(run("export", "--tenant", slug, "--tenant", other))["tenants"]
    assert [tenant["slug"] for tenant in chosen] == sorted([slug, other])
    # The suite's tenants are thousands by now: YAML of that size is not read in a moment.
    every = re.findall(r"^ *- slug: (\S+)$", run("export"), re.MULTILINE)
    assert {slug, other} <= set(every)
    with pytest.raises(CommandError, match=f"there is no tenant '{slug}x'; did you mean '{slug}'"):
        run("export", "--tenant", f"{slug}x")


def test_unpublished_draft_is_reported(slug):
    over = factories.catalog(factories.provider(factories.tenant(slug=slug), "http://a/v1"), "fast")
    agent = factories.agent(over, "support", instructions="Old")
    Agent.objects.filter(pk=agent.pk).update(instructions="New")
    done = manage("export", "--tenant", slug)
    assert done.returncode == 0
    assert yaml.safe_load(done.stdout)["tenants"][0]["agents"][0]["published"] == "keep"
    assert f"{slug}/support has unpublished changes" in done.stderr


def test_records_of_clients_are_not_exported(slug):
    tenant = factories.tenant(slug=slug)
    key = factories.key(tenant, name="web").row
    for name, by_client in (("ours", False), ("theirs", True)):
        factories.dataset(tenant, name, keys=[key], by_client=by_client)
    (exported,) = yaml.safe_load(run("export", "--tenant", slug))["tenants"]
    assert exported["datasets"] == [{"name": "ours"}]
    assert exported["keys"][0]["datasets"] == ["ours"]
