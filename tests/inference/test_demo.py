"""`manage.py demo` creates the demo tenant once and preserves later edits."""

import json
from io import StringIO

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import call_command

from files import storage
from files.models import Dataset, DatasetFile
from inference.models import Agent, CatalogEntry, Provider
from local_models import MODELS
from tenants import keys
from tenants.models import InferenceKey, Tenant
from tenants.scopes import SCOPES
from tests import answers, factories

LOCAL = "http://127.0.0.1:21000/v1"
AGENTS = ["demo-assistant", "demo-handbook"]
ENTRIES = {
    "demo-chat": MODELS["chat"],
    "demo-embeddings": MODELS["embed"],
    "demo-images": MODELS["image"],
    "demo-moderation": MODELS["moderate"],
    "demo-rerank": MODELS["rerank"],
    "demo-speech": MODELS["speech"],
    "demo-transcription": MODELS["transcribe"],
}
NAMES = [*AGENTS, *ENTRIES]
#: What the scripted provider's list of models is enough for.
REMOTE = [*AGENTS, "demo-chat", "demo-embeddings", "demo-transcription"]


@pytest.fixture(autouse=True)
def fresh(db, monkeypatch):
    """A database without the demo tenant and without an administrator; all of it is rolled back."""
    for name in ("DEMO_PROVIDER_BASE_URL", "DEMO_PROVIDER_API_KEY", "DEMO_PROVIDER_MODEL"):
        monkeypatch.delenv(name, raising=False)
    Tenant.objects.filter(slug="demo").delete()
    get_user_model().objects.filter(is_superuser=True).delete()


def demo(*arguments: str) -> tuple[dict, str]:
    """Run the command and return the facts on its standard output, and its standard error."""
    printed, said = StringIO(), StringIO()
    call_command("demo", *arguments, stdout=printed, stderr=said)
    return json.loads(printed.getvalue()), said.getvalue()


@pytest.fixture
def provider(upstream) -> str:
    """Return the address of a provider that lists models and requires a key."""
    address = f"{upstream.base_url}/{factories.unique('demo')}"
    models = ["text-embedding-9", "whisper-9", "big-chat-9", "small-chat-9"]
    listed = {"object": "list", "data": [{"id": model, "object": "model"} for model in models]}
    upstream.script(f"{address.partition(':' + str(upstream.port))[2]}/models", answers.answer(listed))
    return address


def test_first_run_creates_a_tenant_with_a_working_key():
    facts, said = demo("--local-models-url", LOCAL, "--url", "http://127.0.0.1:8000")
    assert said == ""
    assert list(facts["models"]) == NAMES
    assert facts["base_url"] == "http://127.0.0.1:8000/api/tenant"
    assert facts["admin_url"] == "http://127.0.0.1:8000/admin/"
    key = InferenceKey.objects.get(tenant__slug="demo")
    assert keys.matches(facts["api_key"], bytes(key.digest))
    assert key.scopes == list(SCOPES)
    assert {grant.target.name for grant in key.grants.all()} == set(NAMES)
    provider = Provider.objects.get(tenant__slug="demo")
    assert (provider.name, provider.base_url, provider.api_key) == ("local", LOCAL, "")
    models = CatalogEntry.objects.filter(tenant__slug="demo").values_list("name", "model")
    assert dict(models) == ENTRIES
    embedder = CatalogEntry.objects.get(tenant__slug="demo", name="demo-embeddings")
    assert (embedder.query_input_type, embedder.passage_input_type) == ("query", "passage")
    assert (embedder.unrelated_similarity, embedder.related_similarity) == (0.74, 0.89)
    assert all(agent.published for agent in Agent.objects.filter(tenant__slug="demo"))


def test_handbook_is_searched_by_its_agent():
    demo("--local-models-url", LOCAL)
    dataset = Dataset.objects.get(tenant__slug="demo")
    assert (dataset.name, dataset.embedding) == ("handbook", "demo-embeddings")
    (dataset_file,) = dataset.dataset_files.all()
    assert (dataset_file.file.filename, dataset_file.state, dataset_file.file.key) == (
        "handbook.md",
        "uploaded",
        None,
    )
    with storage.open_file(dataset_file.file.path) as kept:
        assert b"28 days of holiday" in kept.read()
    agent = Agent.objects.get(name="demo-handbook", tenant__slug="demo")
    assert list(agent.datasets.all()) == [dataset]
    assert "28" not in agent.instructions
    assert list(dataset.grants.values_list("key__name", flat=True)) == ["demo"]
    tenant = dataset.tenant
    assert (tenant.embedding, tenant.transcription) == ("demo-embeddings", "demo-transcription")


def test_deleted_handbook_is_not_created_again():
    demo("--local-models-url", LOCAL)
    DatasetFile.objects.filter(tenant__slug="demo").delete()
    demo("--local-models-url", LOCAL)
    assert not DatasetFile.objects.filter(tenant__slug="demo").exists()


def test_the_administrator_can_log_in():
    facts, _ = demo()
    user = authenticate(username=facts["admin_username"], password=facts["admin_password"])
    assert user is not None
    assert (facts["admin_username"], user.is_superuser, user.is_staff) == ("admin", True, True)
    assert len(facts["admin_password"]) >= 16


def test_existing_administrator_is_unchanged():
    get_user_model().objects.create_superuser("boss", password="the password of the boss")
    facts, _ = demo()
    assert "admin_username" not in facts
    assert "admin_password" not in facts
    assert authenticate(username="boss", password="the password of the boss")


def test_existing_user_named_admin_is_not_promoted():
    get_user_model().objects.create_user("admin", password="a plain user")
    facts, _ = demo()
    assert facts["admin_username"] == "admin-2"
    assert not get_user_model().objects.get(username="admin").is_superuser


def test_second_run_changes_nothing_and_prints_no_secret():
    demo("--local-models-url", LOCAL)
    versions = Agent.objects.get(name="demo-assistant", tenant__slug="demo").versions
    facts, said = demo("--local-models-url", LOCAL)
    assert (facts, said) == ({"models": NAMES}, "")
    assert versions.count() == 1
    assert InferenceKey.objects.filter(tenant__slug="demo").count() == 1


def test_edits_are_preserved():
    demo("--local-models-url", LOCAL)
    tenant = Tenant.objects.get(slug="demo")
    Tenant.objects.filter(pk=tenant.pk).update(name="Mine", active=False)
    Agent.objects.get(tenant=tenant, name="demo-handbook").delete()
    Agent.objects.filter(tenant=tenant, name="demo-assistant").update(instructions="Mine")
    tenant.keys.all().revoke()
    facts, _ = demo("--local-models-url", LOCAL)
    assert facts == {"models": []}
    tenant.refresh_from_db()
    assert (tenant.name, tenant.active) == ("Mine", False)
    assert list(Agent.objects.filter(tenant=tenant).values_list("instructions", flat=True)) == ["Mine"]


def test_missing_models_are_reported_and_added_later():
    facts, said = demo()
    assert facts["models"] == []
    assert said == "The demo tenant has no models.\n"
    dataset = Dataset.objects.get(tenant__slug="demo")
    assert (dataset.embedding, dataset.dataset_files.count()) == ("", 1)
    assert not Provider.objects.filter(tenant__slug="demo").exists()
    key = InferenceKey.objects.get(tenant__slug="demo")

    later, said = demo("--local-models-url", LOCAL)
    assert (later, said) == ({"models": NAMES}, "")
    assert list(InferenceKey.objects.filter(tenant__slug="demo")) == [key]
    dataset.refresh_from_db()
    assert (dataset.embedding, dataset.dataset_files.count()) == ("demo-embeddings", 1)
    assert {grant.target.name for grant in key.grants.all()} == set(NAMES)


def test_edited_tenant_without_models_is_unchanged():
    demo()
    Tenant.objects.filter(slug="demo").update(name="Mine")
    facts, _ = demo("--local-models-url", LOCAL)
    assert facts["models"] == []
    assert not Provider.objects.filter(tenant__slug="demo").exists()


def test_provider_follows_local_models_to_another_port():
    demo("--local-models-url", LOCAL)
    moved = LOCAL.replace("21000", "21001")
    _, said = demo("--local-models-url", moved)
    assert said == f"The demo tenant's provider local is at {moved} now.\n"
    assert Provider.objects.get(tenant__slug="demo").base_url == moved


@pytest.mark.parametrize(
    "edit", [{"base_url": "https://llm.example.com/v1"}, {"api_key": "sk-mine"}, {"name": "mine"}]
)
def test_edited_provider_keeps_its_address(edit):
    demo("--local-models-url", LOCAL)
    provider = Provider.objects.get(tenant__slug="demo")
    for name, value in edit.items():
        setattr(provider, name, value)
    provider.save()
    demo("--local-models-url", LOCAL.replace("21000", "21001"))
    after = Provider.objects.get(tenant__slug="demo")
    assert after.base_url == provider.base_url


def test_other_local_server_is_not_mistaken_for_the_local_models():
    demo("--local-models-url", LOCAL)
    Provider.objects.filter(tenant__slug="demo").update(base_url="http://localhost:11434/v1")
    CatalogEntry.objects.filter(tenant__slug="demo").update(model="llama")
    demo("--local-models-url", LOCAL)
    assert Provider.objects.get(tenant__slug="demo").base_url == "http://localhost:11434/v1"


def test_models_of_another_provider_are_listed(provider, monkeypatch):
    monkeypatch.setenv("DEMO_PROVIDER_BASE_URL", provider)
    monkeypatch.setenv("DEMO_PROVIDER_API_KEY", "sk-${of}-the-provider")
    facts, said = demo("--local-models-url", LOCAL)
    assert (facts["models"], said) == (REMOTE, "")
    row = Provider.objects.get(tenant__slug="demo")
    assert (row.base_url, row.api_key) == (provider, "sk-${of}-the-provider")
    models = CatalogEntry.objects.filter(tenant__slug="demo").values_list("name", "model")
    assert dict(models) == {
        "demo-chat": "big-chat-9",
        "demo-embeddings": "text-embedding-9",
        "demo-transcription": "whisper-9",
    }
    # The relevance threshold of an unknown embedding model is not known.
    assert Agent.objects.get(tenant__slug="demo", name="demo-handbook").relevance == 0


def test_the_model_of_another_provider_can_be_chosen(provider, monkeypatch):
    monkeypatch.setenv("DEMO_PROVIDER_MODEL", "small-chat-9")
    monkeypatch.setenv("MY_KEY", "sk-mine")
    demo("--provider-url", provider, "--provider-key-env", "MY_KEY")
    assert CatalogEntry.objects.get(tenant__slug="demo", name="demo-chat").model == "small-chat-9"
    assert Provider.objects.get(tenant__slug="demo").api_key == "sk-mine"


def test_unreachable_provider_is_reported_and_retried(provider, monkeypatch):
    facts, said = demo("--provider-url", "http://127.0.0.1:9/v1")
    assert facts["models"] == []
    assert "No model to chat with at http://127.0.0.1:9/v1" in said
    facts, _ = demo("--provider-url", provider)
    assert facts["models"] == REMOTE


def test_a_provider_without_embeddings_gets_no_entry_for_them(monkeypatch):
    monkeypatch.setenv("DEMO_PROVIDER_MODEL", "only-chat")
    facts, _ = demo("--provider-url", "http://127.0.0.1:9/v1")
    assert facts["models"] == ["demo-assistant", "demo-handbook", "demo-chat"]
    tenant = Tenant.objects.get(slug="demo")
    assert (tenant.embedding, tenant.datasets.get().embedding) == ("", "")


def test_changed_provider_is_reported_and_ignored(provider):
    demo("--local-models-url", LOCAL)
    _, said = demo("--provider-url", provider)
    assert said.startswith(f"The demo tenant is there already and does not use {provider}")
    assert Provider.objects.get(tenant__slug="demo").base_url == LOCAL
