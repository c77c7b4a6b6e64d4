"""The gateway that clients are tested against: real server processes in front of the scripted provider."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import environment

#: The base URLs under which every route is served.
BASES = ("/api/tenant", "/api/tenant/v1")


@dataclass(frozen=True, slots=True)
class Served:
    """A running gateway: its address, and keys with all scopes, with `models:read` only, and invalid."""

    url: str
    api_key: str
    limited_key: str

    def facts(self, base: str) -> dict[str, str]:
        """Return the facts that are passed to a client's checks."""
        return {
            "url": self.url,
            "base_url": self.url + base,
            "api_key": self.api_key,
            "limited_key": self.limited_key,
        }


@contextmanager
def serving(log: Path) -> Iterator[Served]:
    """Run PostgreSQL, Redis, the provider, the gateway and its workers, with one tenant that publishes every model.

    ``log``: where the gateway's log is saved at the end.
    """
    environment.enter()
    os.environ["LOG_LEVEL"] = "WARNING"
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from tests.gateway import GatewayProcess, IngestProcess, WorkerProcess
    from tests.upstream import Upstream

    with environment.postgres, environment.redis:
        call_command("migrate", verbosity=0)
        upstream = Upstream().start()
        try:
            keys = _publish(upstream)
            # The gateway process opens its own connections.
            connection.close()
            connection.close_pool()  # type: ignore[attr-defined]
            gateway = GatewayProcess(workers=1)
            try:
                with gateway, WorkerProcess(), IngestProcess():
                    yield Served(gateway.url, *keys)
            finally:
                shutil.copy(gateway.log, log)
        finally:
            upstream.stop()


def _publish(upstream: "Upstream") -> tuple[str, str]:  # noqa: F821 - it cannot be imported before Django is set up
    """Create the tenant and script the provider; returns the two keys."""
    from clients.provider import IMPATIENT, MODELS
    from tests import factories

    tenant = factories.tenant(slug="clients", name="Clients", embedding="embedder")
    patient = factories.provider(tenant, upstream.base_url)
    impatient = factories.provider(tenant, upstream.base_url, total_timeout=1, first_byte_timeout=1)
    entries = []
    for name, (capabilities, play) in MODELS.items():
        provider = impatient if name in IMPATIENT else patient
        entry = factories.catalog(provider, name, capabilities=capabilities)
        upstream.script(entry.model, play)
        entries.append(entry)
    return (
        factories.key(tenant, [*entries, *factories.guides(entries)]).plain,
        factories.key(tenant, entries, ["models:read"]).plain,
    )
