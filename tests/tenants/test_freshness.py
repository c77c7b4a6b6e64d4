"""Policy changes, in bulk or not, take effect in every process within a second of their commit."""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import httpx
import pytest
from django.db import connection, transaction
from django.utils import timezone

from gtapi.stack.redis import Redis
from inference.models import Agent, CatalogEntry, Grant
from tenants.models import InferenceKey, Tenant
from tests import environment, factories
from tests.wire import chat

#: The documented maximum delay in seconds.
MAX_DELAY = 1.0
#: Requests over new connections, each of which may reach another worker.
TRIES = 12

pytestmark = pytest.mark.usefixtures("django_db_blocker_off")


@pytest.fixture
def django_db_blocker_off(django_db_blocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def ask(gateway, world) -> Callable[..., set[int]]:
    """Send requests over many new connections and return their distinct statuses."""

    def send(model: str = "fast", **headers: str) -> set[int]:
        statuses = set()
        for _ in range(TRIES):
            with httpx.Client(
                base_url=gateway.base_url, headers={**world.authorization, **headers}
            ) as client:
                statuses.add(client.post("/chat/completions", json=chat(model)).status_code)
        return statuses

    assert send() == {200}
    assert send("support") == {200}
    return send


def settle() -> None:
    time.sleep(MAX_DELAY)


def test_revoked_key_is_refused_after_one_refresh(world, ask):
    world.key.row.revoke()
    settle()
    assert ask() == {401}


def test_keys_revoked_in_bulk_are_refused(world, ask):
    assert InferenceKey.objects.filter(tenant=world.tenant).revoke() == 1
    settle()
    assert ask() == {401}


def test_key_is_refused_when_it_expires(world, ask):
    InferenceKey.objects.filter(pk=world.key.row.pk).update(expires_at=timezone.now() + timedelta(seconds=3))
    settle()
    assert ask() == {200}
    time.sleep(2.2)
    assert ask() == {401}


def test_tenant_is_turned_off_and_on(world, ask):
    Tenant.objects.filter(pk=world.tenant.pk).update(active=False)
    settle()
    assert ask() == {401}
    Tenant.objects.filter(pk=world.tenant.pk).update(active=True)
    settle()
    assert ask() == {200}


def test_hosts_of_a_tenant_are_restricted(world, ask):
    Tenant.objects.filter(pk=world.tenant.pk).update(hosts=["ai.example.com"])
    settle()
    assert ask() == {401}
    assert ask(host="AI.example.com:8443") == {200}


def test_scopes_are_removed_in_bulk(world, ask):
    InferenceKey.objects.filter(tenant=world.tenant).update(scopes=["models:read"])
    settle()
    assert ask() == {403}


def test_grant_is_removed(world, ask):
    Grant.objects.filter(key=world.key.row, target_id=world.fast.pk).delete()
    settle()
    assert ask() == {404}
    assert ask("support") == {200}


def test_agent_is_unpublished_and_published(world, ask):
    world.support.unpublish()
    settle()
    assert ask("support") == {404}
    world.support.publish()
    settle()
    assert ask("support") == {200}


def test_agents_are_unpublished_in_bulk(world, ask):
    Agent.objects.filter(tenant=world.tenant).update(live=None)
    settle()
    assert ask("support") == {404}


def test_unpublished_catalog_entry_still_serves_its_agents(world, ask):
    CatalogEntry.objects.filter(pk=world.fast.pk).update(published=False)
    settle()
    assert ask() == {404}
    assert ask("support") == {200}


def test_credential_of_a_provider_is_changed(world, ask, upstream):
    world.provider.api_key = "sk-the-next-credential"
    world.provider.save()
    settle()
    assert ask() == {200}
    assert upstream.last(world.raw).header("authorization") == "Bearer sk-the-next-credential"


def test_key_created_after_its_id_was_refused_is_accepted(world, gateway):
    """A missing key is cached only until the next policy change."""
    other = factories.key(world.tenant)
    headers = {"authorization": f"Bearer {other.plain}"}
    with transaction.atomic():
        InferenceKey.objects.filter(pk=other.row.pk).update(public_id="x" * 12)
    settle()
    assert httpx.get(f"{gateway.base_url}/models", headers=headers).status_code == 401
    InferenceKey.objects.filter(pk=other.row.pk).update(public_id=other.row.public_id)
    settle()
    assert httpx.get(f"{gateway.base_url}/models", headers=headers).status_code == 200


def test_change_that_commits_after_a_later_one_is_seen(world, ask):
    """The transaction that began first commits last; its change must not be skipped."""
    with contextlib.closing(connection.copy()) as slow, slow.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(
            "UPDATE tenants_inferencekey SET scopes = '{models:read}' WHERE id = %s", [world.key.row.pk]
        )
        factories.tenant()
        settle()
        assert ask() == {200}
        cursor.execute("COMMIT")
        settle()
        assert ask() == {403}


def test_change_takes_effect_while_redis_is_unavailable(start_gateway, world):
    away = Redis(environment.ROOT / "away", environment.SOCKETS / "none")
    gateway = start_gateway(REDIS_URL=away.url)
    url = f"{gateway.base_url}/chat/completions"
    assert httpx.post(url, json=chat("fast"), headers=world.authorization).status_code == 200
    world.key.row.revoke()
    settle()
    assert httpx.post(url, json=chat("fast"), headers=world.authorization).status_code == 401
