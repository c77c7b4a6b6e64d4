"""`manage.py create_key`: a key from the shell."""

import json
from datetime import UTC, datetime

import httpx
import openai
import pytest
from django.core.management.base import CommandError

from files.models import Dataset
from tenants.models import InferenceKey
from tenants.scopes import SCOPES
from tests import factories
from tests.inference.commands import manage, run


def create(world, *arguments: str) -> str:
    return run("create_key", "--tenant", world.tenant.slug, *arguments)


def test_the_key_that_is_printed_works(gateway, world):
    plain = create(world, "--name", "web", "--allow", "support").strip()
    with openai.OpenAI(base_url=gateway.base_url, api_key=plain, max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["support"]
        answer = client.chat.completions.create(model="support", messages=[{"role": "user", "content": "Hi"}])
        assert answer.choices[0].message.content == "Hello there."
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="fast", messages=[{"role": "user", "content": "Hi"}])


def test_output_for_scripts_is_the_key_alone(gateway, world):
    done = manage("create_key", "--tenant", world.tenant.slug, "--name", "script")
    assert done.returncode == 0
    plain = done.stdout.removesuffix("\n")
    assert plain.startswith("gtak_")
    assert plain.isprintable()
    assert "shown this once" in done.stderr
    assert plain not in done.stderr
    listed = httpx.get(f"{gateway.base_url}/models", headers={"authorization": f"Bearer {plain}"})
    assert listed.json()["data"] == []


def test_json_names_the_key(world):
    made = json.loads(create(world, "--name", "web", "--preset", "embeddings-client", "--json"))
    assert list(made) == ["key", "public_id", "name", "scopes"]
    assert made["key"].startswith(f"gtak_{made['public_id']}_")
    assert (made["name"], made["scopes"]) == ("web", ["models:read", "inference:embed"])
    row = InferenceKey.objects.get(public_id=made["public_id"])
    assert (row.tenant, row.name, row.scopes) == (world.tenant, "web", made["scopes"])


@pytest.mark.parametrize(
    ("arguments", "scopes"),
    [
        ((), ["models:read", "inference:chat"]),
        (("--preset", "everything"), list(SCOPES)),
        (("--scope", "files:write"), ["files:write"]),
        (
            ("--preset", "openai-chat-client", "--scope", "files:read", "--scope", "models:read"),
            ["models:read", "inference:chat", "files:read"],
        ),
    ],
)
def test_preset_and_scopes_are_united(world, arguments, scopes):
    assert json.loads(create(world, "--name", "web", "--json", *arguments))["scopes"] == scopes


def test_grants_and_expiry_are_set(world):
    Dataset.objects.create(tenant=world.tenant, name="handbook")
    arguments = ("--allow", "fast", "--allow", "support", "--dataset", "handbook", "--expires", "2099-01-31")
    create(world, "--name", "web", *arguments)
    key = InferenceKey.objects.get(tenant=world.tenant, name="web")
    assert {grant.target.name for grant in key.grants.all()} == {"fast", "support"}
    assert [grant.dataset.name for grant in key.dataset_grants.all()] == ["handbook"]
    assert key.expires_at == datetime(2099, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize("fields", [{"by_client": True}, {"hidden": True}], ids=["client", "conversation"])
def test_dataset_of_a_client_cannot_be_granted(world, fields):
    name = factories.dataset(world.tenant, **fields).name
    with pytest.raises(CommandError, match=f"There is no dataset '{name}'"):
        create(world, "--name", "web", "--dataset", name)
    assert not InferenceKey.objects.filter(tenant=world.tenant, name="web").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--preset", "chat"), "There is no preset 'chat'; did you mean 'openai-chat-client'?"),
        (("--scope", "inference:chat", "--scope", "admin"), "There is no scope 'admin'."),
        (("--allow", "suport"), "There is no agent or catalog entry 'suport'; did you mean 'support'?"),
        (("--dataset", "x"), "There is no dataset 'x'."),
        (("--expires", "tomorrow"), "--expires takes a date, such as 2030-12-31."),
        (("--expires", "2020-01-01"), "A key that expires on 2020-01-01 would never work."),
        (("--name", ""), "name: This field cannot be blank."),
    ],
)
def test_invalid_arguments_are_one_sentence_and_create_no_key(world, arguments, sentence):
    before = InferenceKey.objects.filter(tenant=world.tenant).count()
    with pytest.raises(CommandError) as refusal:
        create(world, "--name", "web", *arguments)
    assert str(refusal.value) == sentence
    assert InferenceKey.objects.filter(tenant=world.tenant).count() == before


def test_name_of_an_active_key_is_refused(world):
    create(world, "--name", "web")
    with pytest.raises(CommandError, match="This tenant already has an active key with this name"):
        create(world, "--name", "web")
    InferenceKey.objects.filter(tenant=world.tenant, name="web").revoke()
    assert create(world, "--name", "web").startswith("gtak_")


def test_another_tenants_names_cannot_be_granted(world, upstream):
    other = factories.world(upstream.base_url)
    factories.catalog(other.provider, "theirs")
    with pytest.raises(CommandError, match="There is no agent or catalog entry 'theirs'"):
        create(world, "--name", "web", "--allow", "theirs")


def test_unknown_tenant_is_reported(world):
    with pytest.raises(CommandError, match=f"There is no tenant '.*'; did you mean '{world.tenant.slug}'"):
        run("create_key", "--tenant", f"{world.tenant.slug}x", "--name", "web")


def test_a_refusal_exits_with_1_and_no_traceback(world):
    done = manage("create_key", "--tenant", world.tenant.slug, "--name", "web", "--preset", "nothing")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "CommandError: There is no preset 'nothing'.\n"
