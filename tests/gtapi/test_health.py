"""What a process manager and a load balancer learn."""

import httpx
import pytest
from django.core.management import call_command
from django.db import connection

from gtapi.stack.redis import Redis
from tests import environment
from tests.wire import PLAIN


def test_a_live_process_says_so(gateway):
    response = PLAIN.get(f"{gateway.url}/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_a_ready_process_names_what_it_checked(gateway):
    response = PLAIN.get(f"{gateway.url}/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ok",
        "checks": {"database": "ok", "migrations": "ok", "redis": "ok"},
    }


@pytest.mark.parametrize("page", ["/healthz", "/readyz"])
def test_a_probe_that_names_an_address_as_the_host_is_answered(gateway, page):
    assert httpx.get(gateway.url + page, headers={"Host": "10.1.2.3:8000"}).status_code == 200
    # The admin answers on its own hosts alone.
    assert httpx.get(f"{gateway.url}/admin/", headers={"Host": "10.1.2.3:8000"}).status_code == 400


def test_without_redis_it_is_degraded_and_still_serves(start_gateway, world):
    away = Redis(environment.ROOT / "away", environment.SOCKETS / "none")
    gateway = start_gateway(REDIS_URL=away.url)
    response = PLAIN.get(f"{gateway.url}/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert response.json()["checks"]["redis"] == "unavailable"
    assert httpx.get(f"{gateway.base_url}/models", headers=world.authorization).status_code == 200


@pytest.mark.parametrize("nowhere", ["postgres://nobody@127.0.0.1:9/none"])
def test_without_the_database_it_is_alive_and_not_ready(start_gateway, nowhere):
    gateway = start_gateway(DATABASE_URL=nowhere, DATABASE_POOL_TIMEOUT="0.5", awaiting="/healthz")
    assert PLAIN.get(f"{gateway.url}/healthz").status_code == 200
    response = PLAIN.get(f"{gateway.url}/readyz")
    assert response.status_code == 503
    assert response.json()["status"] == "unavailable"
    assert response.json()["checks"]["database"] == "unavailable"


def test_a_pending_migration_is_named(gateway, django_db_blocker):
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
        try:
            response = PLAIN.get(f"{gateway.url}/readyz")
        finally:
            call_command("migrate", "sessions", fake=True, verbosity=0)
    assert response.status_code == 503
    assert response.json()["checks"]["migrations"] == "pending: sessions.0001_initial"
